#include "ride/models/shortcut.h"

#include "engine/autograd/node.h"
#include "engine/core/profile.h"
#include "engine/ops/shape_ops.h"

namespace ride {
namespace {

using engine::Tensor;

// The pixels of x (N, C, H, W) that the shortcut reads, as a view.
Tensor pixels(const Tensor& x, int64_t stride) {
  const Tensor rows = engine::slice(x, {.axis = 2, .step = stride});
  return engine::slice(rows, {.axis = 3, .step = stride});
}

// The channels of y (N, planes, P, Q) that the shortcut writes, as a view.
Tensor inner(const Tensor& y, int64_t channels) {
  const int64_t before = (y.size(1) - channels) / 2;
  return engine::slice(y, {.axis = 1, .start = before, .end = before + channels});
}

}  // namespace

// y = 0 but for its inner channels, which are x at every stride-th pixel; dx = 0 but for those pixels, which are dy's
// inner channels. One op: slice and pad by themselves would write each tensor twice.
Tensor shortcut_a(const Tensor& x, const ShortcutOptions& options) {
  engine::profile::Scope scope("shortcut_a");
  engine::check(x.rank() == 4 && options.stride > 0, "shortcut_a",
                "needs (N, C, H, W) and a positive stride, got {} and {}", x.shape(), options.stride);
  const int64_t channels = x.size(1), stride = options.stride;
  engine::check(options.planes >= channels && (options.planes - channels) % 2 == 0, "shortcut_a",
                "{} channels can't be padded evenly to {} planes", channels, options.planes);
  const Tensor source = pixels(x.detach(), stride);
  Tensor y = Tensor::zeros({x.size(0), options.planes, source.size(2), source.size(3)}, x.options());
  engine::copy_into(source, inner(y, channels));
  return engine::record(
      "shortcut_a", y, {x},
      [from = x.shape(), like = x.options(), stride](const Tensor& dy, engine::Needs) -> engine::Gradients {
        Tensor dx = Tensor::zeros(from, like);
        engine::copy_into(inner(dy, from[1]), pixels(dx, stride));
        return {dx};
      });
}

}  // namespace ride
