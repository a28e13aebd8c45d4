#include "engine/ops/conv.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/precision.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

int64_t output_size(int64_t input, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  return (input + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

Shape check_conv2d(const Tensor& x, const Tensor& w, const Tensor& b, const Conv2dOptions& o) {
  check(x.rank() == 4 && w.rank() == 4, "conv2d", "input and weight must have four axes, got {} and {}", x.shape(),
        w.shape());
  check(is_floating(x.dtype()), "conv2d", "only defined for floating point types, got {}: cast first", name(x.dtype()));
  check(weight_fits(x.dtype(), w.dtype()), "conv2d", "input is {}, weight is {}: cast one", name(x.dtype()),
        name(w.dtype()));
  check(
      o.stride.h > 0 && o.stride.w > 0 && o.dilation.h > 0 && o.dilation.w > 0 && o.padding.h >= 0 && o.padding.w >= 0,
      "conv2d", "stride and dilation must be positive and padding not negative");
  check(o.groups > 0 && w.size(0) % o.groups == 0, "conv2d", "{} output channels don't divide into {} groups",
        w.size(0), o.groups);
  check(x.size(1) == w.size(1) * o.groups, "conv2d", "weight {} expects {} input channels, input has {}: {}", w.shape(),
        w.size(1) * o.groups, x.size(1), x.shape());
  if (b.defined()) {
    check(b.shape() == Shape{w.size(0)}, "conv2d", "weight {} needs a bias of ({},), got {}", w.shape(), w.size(0),
          b.shape());
    check(b.dtype() == w.dtype(), "conv2d", "weight is {}, bias is {}: cast one", name(w.dtype()), name(b.dtype()));
  }
  const int64_t p = output_size(x.size(2), w.size(2), o.stride.h, o.padding.h, o.dilation.h);
  const int64_t q = output_size(x.size(3), w.size(3), o.stride.w, o.padding.w, o.dilation.w);
  check(p > 0 && q > 0, "conv2d", "kernel {} is larger than the padded input {}", w.shape(), x.shape());
  return {x.size(0), w.size(0), p, q};
}

}  // namespace

Shape conv2d_shape(const Tensor& x, const Tensor& w, const Conv2dOptions& options) {
  return check_conv2d(x, w, none, options);
}

namespace {

// dx = w^T (*) dy      dw = x (*) dy, summed over n      db = dy summed over n, h, w
Tensor record_conv2d(const Tensor& y, const Tensor& x, const Tensor& w, const Tensor& b, const Conv2dOptions& options) {
  return record("conv2d", y, {x, w, b},
                [x = x.detach(), w = w.detach(), options](const Tensor& dy, Needs needs) -> Gradients {
                  const ConvKernels& conv = kernels(x).conv;
                  ConvGradients g;
                  if (needs[0] && needs[1])
                    g = conv.backward({.g = dy}, x, w, options, needs.take(0));
                  else if (needs[0])
                    g.dx = conv.backward_input(dy, w, x.shape(), options, needs.take(0));
                  else if (needs[1])
                    g.dw = conv.backward_weight(dy, x, w.shape(), options, nullptr);
                  return {g.dx, g.dw.defined() ? cast(g.dw, w.dtype()) : none,
                          needs[2] ? sum(cast(dy, w.dtype()), {.axes = {0, 2, 3}}) : none};
                });
}

}  // namespace

// y[n,k] = sum_c w[k,c] (*) x[n,c] + b[k]                        (*) is cross-correlation, as everywhere in this field
// y and dx have x's type, dw and db the parameters'.
Tensor conv2d(const Tensor& input, const Tensor& w, const Tensor& b, const Conv2dOptions& options) {
  profile::Scope scope("conv2d");
  const Tensor x = autocast_input(input);
  const Shape y_shape = check_conv2d(x, w, b, options);
  return record_conv2d(kernels(x).conv.forward(x, w, b, y_shape, options), x, w, b, options);
}

Tensor conv2d_with_moments(const Tensor& input, const Tensor& w, const Conv2dOptions& options,
                           ChannelMoments& moments) {
  profile::Scope scope("conv2d");
  const Tensor x = autocast_input(input);
  const Shape y_shape = check_conv2d(x, w, none, options);
  return record_conv2d(kernels(x).conv.forward_with_moments(x, w, y_shape, options, nullptr, moments), x, w, none,
                       options);
}

Tensor conv2d_fused(const Tensor& input, ConstantWeights& w, const ConvEpilogue& epilogue,
                    const Conv2dOptions& options) {
  profile::Scope scope("conv2d_fused");
  const Tensor x = autocast_input(input), &residual = epilogue.residual;
  const Shape y_shape = check_conv2d(x, w.values(), epilogue.bias, options);
  check(epilogue.bias.defined(), "conv2d_fused", "needs a bias of ({},): zeros where there is none",
        w.values().size(0));
  if (residual.defined()) {
    check(residual.shape() == y_shape, "conv2d_fused", "residual {} does not fit the result {}", residual.shape(),
          y_shape);
    check(residual.dtype() == x.dtype(), "conv2d_fused", "input is {}, residual is {}: cast one", name(x.dtype()),
          name(residual.dtype()));
  }
  check(!grad_enabled() || !(x.requires_grad() || (residual.defined() && residual.requires_grad())), "conv2d_fused",
        "has no gradient: call it under NoGradGuard, or conv2d and batch_norm");
  return kernels(x).conv.forward_fused(x, w, epilogue, y_shape, options);
}

}  // namespace engine
