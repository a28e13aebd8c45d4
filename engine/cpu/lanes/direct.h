// Convolution of tensors in batch_lanes by direct sums: what Winograd does not take.
#pragma once
#include "engine/kernels/conv.h"

namespace engine::cpu::lanes {

// Any kernel size, stride, padding and dilation, but one group of channels only.
bool direct_covers(const Shape& w_shape, const Conv2dOptions& options);

// x (N, C, H, W) and y (N, K, P, Q) in batch_lanes, both f32 or both bf16; w (K, C, R, S) f32. Sums are f32, and the
// same for any number of threads. Throws for another type or format.
Tensor direct_forward(const Tensor& x, const Tensor& w, const Shape& y_shape, const Conv2dOptions& options);
// relu?(conv(x) + bias + residual?), over weights arranged once.
Tensor direct_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                            const Conv2dOptions& options);
// Adds to `onto`, like dx, where it is defined.
Tensor direct_backward_input(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions& options,
                             const Tensor& onto = {});
Tensor direct_backward_weight(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions& options);

}  // namespace engine::cpu::lanes
