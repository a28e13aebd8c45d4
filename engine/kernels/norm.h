// Batch normalisation kernels, with an optional residual added and ReLU applied inside.
#pragma once
#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

// What backward needs of a forward pass. x, y (N, C, H, W) or (N, C); mean, inv_std (C) f32 (f64 for f64).
struct BatchNormSaved {
  Tensor x, y;  // y only with relu: its sign is the mask
  Tensor weight, bias;
  Tensor mean, inv_std;
  bool residual = false;  // something was added: x alone doesn't tell y's sign
  bool relu = false;
  bool batch_statistics = true;  // false: mean and inv_std were constants (evaluation)
};
template <class F>
void for_each_tensor(const BatchNormSaved& s, F&& f) {
  for (const Tensor* t : {&s.x, &s.y, &s.weight, &s.bias, &s.mean, &s.inv_std}) f(*t);
}
struct BatchNormGradients {
  Tensor dx, dweight, dbias, dresidual;  // dresidual only if asked for
};

// A batch norm's dx that its reader makes as it reads: a g + b x + c, with (C) f32 values a, b and c for each channel.
// Where these are undefined it is g.
struct LazyGradient {
  Tensor g;
  Tensor x = {}, a = {}, b = {}, c = {};
};
template <class F>
void for_each_tensor(const LazyGradient& l, F&& f) {
  for (const Tensor* t : {&l.g, &l.x, &l.a, &l.b, &l.c}) f(*t);
}
struct LazyBatchNormGradients {
  LazyGradient dx;
  Tensor dweight, dbias, dresidual;  // dresidual only if asked for; it may share dx.g's memory
};

// A batch's statistics and the running ones that they are blended into: (C) each, dense, of one type.
struct BatchNormStatistics {
  Tensor mean, variance, running_mean, running_var;
};
template <class F>
void for_each_tensor(const BatchNormStatistics& s, F&& f) {
  for (const Tensor* t : {&s.mean, &s.variance, &s.running_mean, &s.running_var}) f(*t);
}
struct BatchNormUpdate {
  double momentum, eps;
  int64_t count;  // values of a channel: 2 or more
};

struct NormKernels {
  // mean and biased variance of x over every axis but the channel's (axis 1).
  Slot<void(const Tensor& x, const Tensor& mean, const Tensor& variance)> statistics{"batch_norm statistics"};
  // inv_std = 1/sqrt(variance + eps);  running = (1 - momentum) running + momentum batch, of the unbiased variance.
  Slot<void(const BatchNormStatistics&, const BatchNormUpdate&, const Tensor& inv_std)> update{"batch_norm update"};
  // y = relu?((x - mean) * inv_std * weight + bias + residual?)
  Slot<void(const Tensor& x, const Tensor& mean, const Tensor& inv_std, const Tensor& weight, const Tensor& bias,
            const Tensor& residual, bool relu, const Tensor& y)>
      normalize{"batch_norm"};
  Slot<BatchNormGradients(const BatchNormSaved&, const Tensor& dy, bool wants_dresidual)> backward{
      "batch_norm backward"};
  // As backward; dx is left to its reader where the kernels of such a reader can make it.
  Slot<LazyBatchNormGradients(const BatchNormSaved&, const Tensor& dy, bool wants_dresidual)> backward_lazy{
      "batch_norm backward_lazy"};
};

}  // namespace engine
