// 3x3 convolutions with stride 1 and padding 1 by Winograd's F(4x4, 3x3), in the batch_lanes format; README.md explains
// the algorithm. A quarter of the direct algorithm's multiplications; against an f64 direct sum the error stays below
// 3e-5 of the largest output (direct f32: 1e-6).
#pragma once
#include "engine/kernels/conv.h"

namespace engine::cpu::lanes {

// True for weights (K, C, 3, 3) applied so.
bool winograd_covers(const Shape& w, const Conv2dOptions& options);

// x (N, C, H, W), dy (N, K, H, W): batch_lanes, f32 or bf16; w and dw (K, C, 3, 3) f32, row-major. `moments`, if any,
// receives the result's mean and biased variance per channel; with `input` it is relu(x scale + shift) that is
// convolved.
Tensor winograd_forward(const Tensor& x, const Tensor& w, ChannelMoments* moments = nullptr,
                        const NormalizedInput* input = nullptr);
// relu?(w (*) x + bias + residual?), over weights transformed once.
Tensor winograd_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue);
// Adds to `onto` where it is defined.
Tensor winograd_backward_input(const Tensor& dy, const Tensor& w, const Tensor& onto = {});
Tensor winograd_backward_weight(const Tensor& dy, const Tensor& x, const NormalizedInput* input = nullptr);
// Both in one sweep over dy.
ConvGradients winograd_backward(const LazyGradient& dy, const Tensor& x, const Tensor& w, const Tensor& onto = {});
// Likewise, x being what a batch norm and ReLU made of saved.x, and through these: `input` or, without one, saved.y.
ConvNormGradients winograd_backward_norm(const LazyGradient& dy, const Tensor& w, const BatchNormSaved& saved,
                                         const NormalizedInput* input, const Tensor& onto = {});

}  // namespace engine::cpu::lanes
