// Two-dimensional convolution.
#pragma once
#include "engine/autograd/node.h"
#include "engine/kernels/conv.h"

namespace engine {

// x (N, C, H, W), w (K, C/groups, R, S), b (K) or none -> (N, K, P, Q), P = (H + 2 pad - dilation (R - 1) - 1) / stride
// + 1.
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& b = {}, const Conv2dOptions& options = {});

}  // namespace engine
