#include "engine/cpu/lanes/plan.h"

#include <unistd.h>

#include "engine/core/profile.h"

namespace engine::cpu::lanes {

int64_t cache_bytes() {
  static const int64_t bytes = [] {
    const long known = sysconf(_SC_LEVEL2_CACHE_SIZE);
    return known > 0 ? static_cast<int64_t>(known) : int64_t{512} << 10;
  }();
  return bytes;
}

void count_convolution(const Tensor& y, int64_t taps, std::initializer_list<const Tensor*> operands) {
  if (!profile::enabled()) return;
  double bytes = 0;
  for (const Tensor* t : operands) bytes += static_cast<double>(t->numel() * size_of(t->dtype()));
  profile::add_work(2.0 * static_cast<double>(y.numel() * taps), bytes);
}

}  // namespace engine::cpu::lanes
