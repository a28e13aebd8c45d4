#include "engine/ops/pool.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
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

// Windows are walked through strides.
Tensor strided(const Tensor& x) {
  return x.format() == MemoryFormat::batch_lanes ? contiguous(x, MemoryFormat::channels_last) : x;
}

Tensor output_for(const Tensor& x, const Pool2dOptions& o) {
  const Shape shape{x.size(0), x.size(1), (x.size(2) + 2 * o.padding.h - o.kernel.h) / o.stride.h + 1,
                    (x.size(3) + 2 * o.padding.w - o.kernel.w) / o.stride.w + 1};
  return Tensor::empty(shape, x.options());
}

}  // namespace

// y = max over the window; dx = dy at the winner.
Tensor max_pool2d(const Tensor& any, const Pool2dOptions& asked) {
  profile::Scope scope("max_pool2d");
  const Tensor x = strided(any);
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
Tensor avg_pool2d(const Tensor& any, const Pool2dOptions& asked) {
  profile::Scope scope("avg_pool2d");
  const Tensor x = strided(any);
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

// y = mean over the map; dx = dy / (H W) at every pixel.
Tensor global_avg_pool2d(const Tensor& x) {
  profile::Scope scope("global_avg_pool2d");
  check(x.rank() == 4 && x.size(2) > 0 && x.size(3) > 0, "global_avg_pool2d", "needs (N, C, H, W) with pixels, got {}",
        x.shape());
  check(is_floating(x.dtype()), "global_avg_pool2d", "only defined for floating point types, got {}: cast first",
        name(x.dtype()));
  Tensor y = Tensor::empty({x.size(0), x.size(1)}, {.dtype = x.dtype(), .device = x.device()});
  kernels(x).pool.global_average(x, y);
  return record("global_avg_pool2d", y, {x},
                [from = x.shape(), like = x.options()](const Tensor& dy, Needs) -> Gradients {
                  Tensor dx = Tensor::empty(from, like);
                  kernels(dy).pool.global_average_backward(dy, dx);
                  return {dx};
                });
}

// y[n, before + c, p, q] = x[n, c, stride p, stride q]; dx is dy at these pixels and zero at the others.
Tensor subsample2d(const Tensor& x, const SubsampleOptions& options) {
  profile::Scope scope("subsample2d");
  check(x.rank() == 4 && options.stride > 0, "subsample2d", "needs (N, C, H, W) and a positive stride, got {} and {}",
        x.shape(), options.stride);
  check(options.channels_before >= 0 && options.channels_after >= 0, "subsample2d",
        "adds a negative number of channels: {} before, {} after", options.channels_before, options.channels_after);
  const auto kept = [&](int64_t size) { return (size + options.stride - 1) / options.stride; };
  Tensor y = Tensor::empty(
      {x.size(0), options.channels_before + x.size(1) + options.channels_after, kept(x.size(2)), kept(x.size(3))},
      x.options());
  kernels(x).pool.subsample(x, options, y);
  return record("subsample2d", y, {x},
                [options, from = x.shape(), like = x.options()](const Tensor& dy, Needs needs) -> Gradients {
                  const Tensor onto = needs.take(0);
                  const Tensor dx = onto.defined() ? onto : Tensor::empty(from, like);
                  kernels(dy).pool.subsample_backward(dy, options, onto.defined(), dx);
                  return {dx};
                });
}

}  // namespace engine
