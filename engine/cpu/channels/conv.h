// Convolutions of channels_last images for inference: what a network does on one image, or on a few. README.md explains
// them.
#pragma once
#include "engine/kernels/conv.h"

namespace engine::cpu::channels {

// True for f32 or bf16 images in channels_last and f32 weights of a size that stays in the caches: what
// conv_forward_fused takes.
bool conv_covers(const Tensor& x, const Shape& w_shape, const Conv2dOptions& options);

// relu?(x (*) w + bias + residual?), x (N, C, H, W) in channels_last; w keeps its arranged copy. The same bits for any
// number of threads.
Tensor conv_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                          const Conv2dOptions& options);

}  // namespace engine::cpu::channels
