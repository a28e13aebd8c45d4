// Two-dimensional convolution.
#pragma once
#include "engine/autograd/node.h"
#include "engine/kernels/conv.h"
#include "engine/ops/norm.h"

namespace engine {

// x (N, C, H, W), w (K, C/groups, R, S), b (K) or none -> (N, K, P, Q) in x's memory format, where
// P = (H + 2 padding - dilation (R - 1) - 1) / stride + 1, rounded down, and Q likewise from W and S. The result has
// x's type; w and b have it too, or are f32 beside a 16-bit x.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& b = {}, const Conv2dOptions& options = {});

// conv2d without a bias, and the result's moments for a batch_norm that follows (BatchNormOptions::moments).
Tensor conv2d_with_moments(const Tensor& x, const Tensor& w, const Conv2dOptions& options, ChannelMoments& moments);

// conv2d_with_moments of relu(batch_norm(x)), as one op: in batch_lanes the normalised image is made where the
// convolution reads it and never stored. `norm` has a ReLU and no residual.
Tensor batch_norm_relu_conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                              const Tensor& running_var, const BatchNormOptions& norm, const Tensor& w,
                              const Conv2dOptions& options, ChannelMoments& moments);

// relu?(conv2d(x, w, bias) + residual?) in one pass, for inference: w keeps what the back end made of it for the next
// call. Records nothing; throws where a gradient is wanted.
Tensor conv2d_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue,
                    const Conv2dOptions& options = {});

}  // namespace engine
