// A convolution's weight gradient over channels_last f32 images with own kernels, where oneDNN's are slow.
#pragma once
#include "engine/kernels/conv.h"

namespace engine::cpu {

// Whether the kernels take this problem: f32 channels_last images of 16 channels or more, one group. Not with AVX-512,
// for which oneDNN has good ones; its AVX2 ones reach half of what the processor can do.
bool weight_gradient_covers(const Tensor& x, const Shape& w_shape, const Conv2dOptions& options);

// dw (K, C, R, S) row-major from dy (N, K, P, Q) and x (N, C, H, W), both dense in channels_last. Sums have the same
// order on any number of threads.
Tensor weight_gradient(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions& options);

}  // namespace engine::cpu
