#include "ride/models/shortcut.h"

#include "engine/ops/pool.h"

namespace ride {

engine::Tensor shortcut_a(const engine::Tensor& x, const ShortcutOptions& options) {
  engine::check(x.rank() == 4, "shortcut_a", "needs (N, C, H, W), got {}", x.shape());
  const int64_t added = options.planes - x.size(1);
  engine::check(added >= 0 && added % 2 == 0, "shortcut_a", "{} channels can't be padded evenly to {} planes",
                x.size(1), options.planes);
  return engine::subsample2d(x, {.stride = options.stride, .channels_before = added / 2, .channels_after = added / 2});
}

}  // namespace ride
