// Two-dimensional convolution.
#pragma once
#include "engine/autograd/node.h"
#include "engine/kernels/conv.h"

namespace engine {

// x (N, C, H, W), w (K, C/groups, R, S), b (K) or none -> (N, K, P, Q) in x's memory format, where
// P = (H + 2 padding - dilation (R - 1) - 1) / stride + 1, rounded down, and Q likewise from W and S. The result has
// x's type; w and b have it too, or are f32 beside a 16-bit x.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& b = {}, const Conv2dOptions& options = {});

// conv2d without a bias, and the result's moments for a batch_norm that follows (BatchNormOptions::moments).
Tensor conv2d_with_moments(const Tensor& x, const Tensor& w, const Conv2dOptions& options, ChannelMoments& moments);

// The shape of conv2d(x, w, {}, options); throws where they don't fit.
Shape conv2d_shape(const Tensor& x, const Tensor& w, const Conv2dOptions& options);

// relu?(conv2d(x, w, bias) + residual?) in one pass, for inference: w keeps what the back end made of it for the next
// call. Records nothing; throws where a gradient is wanted.
Tensor conv2d_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue,
                    const Conv2dOptions& options = {});

}  // namespace engine
