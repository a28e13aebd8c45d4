// Matrix product kernel. a (..., m, k), b (..., k, n), bias (n) or undefined, y (..., m, n): rank 2, or 3 with a batch.
// a, b and y may each be f32 or a 16-bit type, with the bias f32 or that type; sums are f32. f64 goes with f64 alone.
#pragma once
#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

struct MatmulKernels {
  Slot<void(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y)> matmul{"matmul"};
};

}  // namespace engine
