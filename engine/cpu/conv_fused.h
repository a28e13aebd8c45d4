// Convolution with bias, residual and ReLU in one pass, over weights arranged once: inference.
#pragma once
#include "engine/kernels/conv.h"

namespace engine::cpu {

// As the slot ConvKernels::forward_fused.
Tensor conv_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                          const Conv2dOptions& options);

// relu?(x scale + shift + residual?), scale and shift per channel (C): batch norm's pass with mean 0 and variance 1.
Tensor scale_and_shift(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool relu);

}  // namespace engine::cpu
