#include "engine/ops/pool.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

Pool2dOptions resolve(const char* op, const Tensor& x, Pool2dOptions o) {
  check(x.rank() == 4, op, "needs (N, C, H, W), got {}", x.shape());
  check(is_floating(x.dtype()), op, "only defined for floating point types, got {}: cast first", name(x.dtype()));
  if (o.stride == Pair(0)) o.stride = o.kernel;
  check(o.kernel.h > 0 && o.kernel.w > 0 && o.stride.h > 0 && o.stride.w > 0, op, "kernel and stride must be positive");
  check(o.padding.h >= 0 && o.padding.w >= 0 && 2 * o.padding.h <= o.kernel.h && 2 * o.padding.w <= o.kernel.w, op,
        "padding ({}, {}) must be at most half the kernel ({}, {})", o.padding.h, o.padding.w, o.kernel.h, o.kernel.w);
  check(x.size(2) + 2 * o.padding.h >= o.kernel.h && x.size(3) + 2 * o.padding.w >= o.kernel.w, op,
        "kernel ({}, {}) is larger than the padded input {}", o.kernel.h, o.kernel.w, x.shape());
  return o;
}

Tensor output_for(const Tensor& x, const Pool2dOptions& o) {
  const Shape shape{x.size(0), x.size(1), (x.size(2) + 2 * o.padding.h - o.kernel.h) / o.stride.h + 1,
                    (x.size(3) + 2 * o.padding.w - o.kernel.w) / o.stride.w + 1};
  return Tensor::empty(shape, x.options());
}

}  // namespace

// y = max over the window; dx = dy at the winner.
Tensor max_pool2d(const Tensor& x, const Pool2dOptions& asked) {
  profile::Scope scope("max_pool2d");
  const Pool2dOptions options = resolve("max_pool2d", x, asked);
  Tensor y = output_for(x, options), winners;
  kernels(x).pool.max(x, options, y, winners);
  return record("max_pool2d", y, {x},
                [winners, options, from = x.shape(), like = x.options()](const Tensor& dy, Needs) -> Gradients {
                  Tensor dx = Tensor::empty(from, like);
                  kernels(dy).pool.max_backward(dy, winners, options, dx);
                  return {dx};
                });
}

// y = sum over the window / its size; dx = dy spread evenly.
Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& asked) {
  profile::Scope scope("avg_pool2d");
  const Pool2dOptions options = resolve("avg_pool2d", x, asked);
  Tensor y = output_for(x, options);
  kernels(x).pool.average(x, options, y);
  return record("avg_pool2d", y, {x},
                [options, from = x.shape(), like = x.options()](const Tensor& dy, Needs) -> Gradients {
                  Tensor dx = Tensor::empty(from, like);
                  kernels(dy).pool.average_backward(dy, options, dx);
                  return {dx};
                });
}

Tensor global_avg_pool2d(const Tensor& x) {
  check(x.rank() == 4, "global_avg_pool2d", "needs (N, C, H, W), got {}", x.shape());
  return reshape(avg_pool2d(x, {.kernel = {x.size(2), x.size(3)}}), {x.size(0), x.size(1)});
}

}  // namespace engine
