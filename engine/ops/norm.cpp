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

// Mean and inverse deviation as the options say, the running statistics brought up to date.
BatchNormSaved batch_norm_constants(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Tensor& running_mean, const Tensor& running_var,
                                    const BatchNormOptions& options) {
  check_batch_norm(x, weight, bias, running_mean, running_var, options);
  const NoGradGuard no_grad;
  const DType dtype = x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  BatchNormSaved saved;
  saved.x = x.detach();
  saved.weight = contiguous(weight.detach());  // kernels read (C) values densely
  saved.bias = contiguous(bias.detach());
  saved.residual = options.residual.defined();
  saved.relu = options.relu;
  saved.batch_statistics = options.training;
  Tensor variance;
  if (options.training) {
    if (options.moments) {
      saved.mean = options.moments->mean;
      variance = options.moments->variance;
    } else {
      saved.mean = Tensor::empty({x.size(1)}, {.dtype = dtype, .device = x.device()});
      variance = empty_like(saved.mean);
      kernels(x).norm.statistics(x, saved.mean, variance);
    }
    const double n = static_cast<double>(x.numel() / std::max<int64_t>(x.size(1), 1));
    if (n > 1) {
      blend(running_mean, saved.mean, options.momentum);
      blend(running_var, variance * (n / (n - 1)), options.momentum);
    }
  } else {
    saved.mean = cast(contiguous(running_mean.detach()), dtype);
    variance = cast(contiguous(running_var.detach()), dtype);
  }
  saved.inv_std = pow(variance + options.eps, -0.5);
  return saved;
}

// z = (x - m) s,  s = 1/sqrt(v + eps),  y = relu?(z weight + bias + residual?)
// g = dy where y > 0;  dresidual = g;  dbias = sum g;  dweight = sum g z
// dx = weight s (g - mean(g) - z mean(g z)) with batch statistics, weight s g with constant ones
Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& options) {
  profile::Scope scope("batch_norm");
  BatchNormSaved saved = batch_norm_constants(x, weight, bias, running_mean, running_var, options);
  const Tensor y = empty_like(x);
  kernels(x).norm.normalize(x, saved.mean, saved.inv_std, saved.weight, saved.bias, options.residual, options.relu, y);
  if (options.relu) saved.y = y.detach();
  return record("batch_norm", y, {x, weight, bias, options.residual},
                [saved = std::move(saved)](const Tensor& dy, Needs needs) -> Gradients {
                  const BatchNormGradients g = kernels(saved.x).norm.backward(saved, dy, needs[3]);
                  return {g.dx, g.dweight, g.dbias, g.dresidual};
                });
}

}  // namespace engine
