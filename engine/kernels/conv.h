// Convolution kernels. x (N, C, H, W), w (K, C/groups, R, S), b (K) or undefined, y (N, K, P, Q) in x's memory format.
#pragma once
#include "engine/core/tensor.h"
#include "engine/kernels/pair.h"
#include "engine/kernels/slot.h"

namespace engine {

struct Conv2dOptions {
  Pair stride = 1;
  Pair padding = 0;
  Pair dilation = 1;
  int64_t groups = 1;
  bool operator==(const Conv2dOptions&) const = default;
};

struct ConvKernels {
  Slot<Tensor(const Tensor& x, const Tensor& w, const Tensor& b, const Shape& y_shape, const Conv2dOptions&)> forward{
      "conv2d"};
  Slot<Tensor(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions&)> backward_input{
      "conv2d backward_input"};
  Slot<Tensor(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions&)> backward_weight{
      "conv2d backward_weight"};
};

}  // namespace engine
