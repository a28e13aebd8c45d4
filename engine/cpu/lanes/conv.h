// Convolutions in the batch_lanes format: Winograd where it applies, direct sums elsewhere.
#pragma once
#include "engine/kernels/conv.h"

namespace engine::cpu::lanes {

// True for x (or dy) in batch_lanes, f32 or bf16, and one group of channels: what the functions below take, with f32
// weights. The rest goes through channels_last.
bool conv_covers(const Tensor& x, const Shape& w, const Conv2dOptions& options);

// Those of them that go by Winograd (winograd.h).
bool conv_by_winograd(const Tensor& x, const Shape& w, const Conv2dOptions& options);

Tensor conv_forward(const Tensor& x, const Tensor& w, const Shape& y_shape, const Conv2dOptions& options);
// With bias, residual and ReLU, over weights arranged once: inference.
Tensor conv_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                          const Conv2dOptions& options);
// Adds to `onto`, of dx's type and format, where it is defined.
Tensor conv_backward_input(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions& options,
                           const Tensor& onto = {});
Tensor conv_backward_weight(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions& options);

}  // namespace engine::cpu::lanes
