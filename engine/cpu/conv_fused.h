// Convolution with bias, residual and ReLU in one pass, over weights arranged once: inference.
#pragma once
#include "engine/kernels/conv.h"

namespace engine::cpu {

// As the slot ConvKernels::forward_fused.
Tensor conv_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                          const Conv2dOptions& options);

}  // namespace engine::cpu
