// Convolution kernels. x (N, C, H, W), w (K, C/groups, R, S), b (K) or undefined, y (N, K, P, Q) in x's memory format.
#pragma once
#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

// A value for height and one for width; one number stands for both.
struct Pair {
  int64_t h = 0, w = 0;
  constexpr Pair(int64_t both) : h(both), w(both) {}
  constexpr Pair(int64_t h, int64_t w) : h(h), w(w) {}
  bool operator==(const Pair&) const = default;
};

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
