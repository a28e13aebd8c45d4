#include "engine/ops/norm.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

void check_batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                      const Tensor& running_var, const BatchNormOptions& options) {
  check(x.rank() == 4 || x.rank() == 2, "batch_norm", "needs (N, C, H, W) or (N, C), got {}", x.shape());
  const Shape channels{x.size(1)};
  for (const Tensor* t : {&weight, &bias, &running_mean, &running_var})
    check(t->shape() == channels, "batch_norm", "input {} has {} channels, a parameter has shape {}", x.shape(),
          x.size(1), t->shape());
  check(!options.residual.defined() || options.residual.shape() == x.shape(), "batch_norm",
        "residual {} does not fit input {}", options.residual.defined() ? options.residual.shape() : Shape{},
        x.shape());
  check(!options.residual.defined() || options.residual.dtype() == x.dtype(), "batch_norm",
        "input is {}, residual is {}: cast one", name(x.dtype()),
        name(options.residual.defined() ? options.residual.dtype() : x.dtype()));
  check(!options.training || x.numel() / std::max<int64_t>(x.size(1), 1) > 1 || x.numel() == 0, "batch_norm",
        "one value per channel in {} has no variance: use a larger batch or eval()", x.shape());
}

// running = (1 - momentum) running + momentum * batch
void blend(const Tensor& running, const Tensor& batch, double momentum) {
  copy_into(running * (1 - momentum) + cast(batch, running.dtype()) * momentum, running);
}

}  // namespace

// z = (x - m) s,  s = 1/sqrt(v + eps),  y = relu?(z weight + bias + residual?)
// g = dy where y > 0;  dresidual = g;  dbias = sum g;  dweight = sum g z
// dx = weight s (g - mean(g) - z mean(g z)) with batch statistics, weight s g with constant ones
Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& options) {
  profile::Scope scope("batch_norm");
  check_batch_norm(x, weight, bias, running_mean, running_var, options);
  const NormKernels& norm = kernels(x).norm;
  NoGradGuard no_grad_inside;
  const Tensor scale = contiguous(weight.detach()),
               shift = contiguous(bias.detach());  // kernels read (C) values densely
  const DType dtype = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Tensor mean, variance;
  if (options.training) {
    if (options.moments) {
      mean = options.moments->mean;
      variance = options.moments->variance;
    } else {
      mean = Tensor::empty({x.size(1)}, {.dtype = dtype, .device = x.device()});
      variance = empty_like(mean);
      norm.statistics(x, mean, variance);
    }
    const double n = static_cast<double>(x.numel() / std::max<int64_t>(x.size(1), 1));
    if (n > 1) {
      blend(running_mean, mean, options.momentum);
      blend(running_var, variance * (n / (n - 1)), options.momentum);
    }
  } else {
    mean = cast(contiguous(running_mean.detach()), dtype);
    variance = cast(contiguous(running_var.detach()), dtype);
  }
  const Tensor inv_std = pow(variance + options.eps, -0.5);
  Tensor y = empty_like(x);
  norm.normalize(x, mean, inv_std, scale, shift, options.residual, options.relu, y);

  GradMode outside(no_grad_inside.previous());
  return record(
      "batch_norm", y, {x, weight, bias, options.residual},
      [saved = BatchNormSaved{.x = x.detach(),
                              .y = options.relu ? y.detach() : none,
                              .weight = scale,
                              .bias = shift,
                              .mean = mean,
                              .inv_std = inv_std,
                              .residual = options.residual.defined(),
                              .relu = options.relu,
                              .batch_statistics = options.training}](const Tensor& dy, Needs needs) -> Gradients {
        BatchNormGradients g = kernels(saved.x).norm.backward(saved, dy, needs[3]);
        return {g.dx, g.dweight, g.dbias, g.dresidual};
      });
}

}  // namespace engine
