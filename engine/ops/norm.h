// Batch normalisation.
#pragma once
#include "engine/autograd/node.h"
#include "engine/kernels/conv.h"
#include "engine/kernels/norm.h"

namespace engine {

struct BatchNormOptions {
  bool training = true;   // batch statistics, running ones updated; otherwise the running ones are used
  double momentum = 0.1;  // share of the new statistics in the running ones
  double eps = 1e-5;
  Tensor residual = {};                     // added after normalising (same shape as x)
  bool relu = false;                        // applied last
  const ChannelMoments* moments = nullptr;  // of x, where conv2d_with_moments has found them; else they are computed
};
// x (N, C, H, W) or (N, C); weight, bias, running_mean, running_var (C). The running variance is the unbiased one.
// y = relu?((x - mean) / sqrt(var + eps) * weight + bias + residual?)
Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, const BatchNormOptions& options = {});

// What batch_norm normalises by: everything of BatchNormSaved but y. Brings the running statistics up to date.
BatchNormSaved batch_norm_constants(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Tensor& running_mean, const Tensor& running_var,
                                    const BatchNormOptions& options);

}  // namespace engine
