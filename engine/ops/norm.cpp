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

// The running statistics as the kernel takes them, dense and of the batch statistics' type; written back where that
// takes a copy.
class Running {
 public:
  Running(const Tensor& running, DType dtype) : given_(running), dense_(cast(contiguous(running.detach()), dtype)) {}
  const Tensor& dense() const { return dense_; }
  void write_back() const {
    if (dense_.raw() != given_.raw()) copy_into(cast(dense_, given_.dtype()), given_);
  }

 private:
  const Tensor& given_;
  Tensor dense_;
};

// Where a channel has values enough for an unbiased variance.
void update(BatchNormSaved& saved, const Tensor& variance, const Tensor& running_mean, const Tensor& running_var,
            const BatchNormUpdate& how) {
  const Running mean(running_mean, variance.dtype()), var(running_var, variance.dtype());
  saved.inv_std = empty_like(saved.mean);
  kernels(variance).norm.update({saved.mean, variance, mean.dense(), var.dense()}, how, saved.inv_std);
  mean.write_back();
  var.write_back();
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
    if (const int64_t n = x.numel() / std::max<int64_t>(x.size(1), 1); n > 1) {
      update(saved, variance, running_mean, running_var,
             {.momentum = options.momentum, .eps = options.eps, .count = n});
      return saved;
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
