// Inputs for kernels.
#pragma once
#include <vector>

#include "engine/kernels/select.h"
#include "tests/parity/device.h"

namespace engine::test {

// x with another type, on the CPU.
inline Tensor typed(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  const Tensor y = empty_like(x, dtype);
  kernels(x).elementwise.copy(x, y);
  return y;
}

// Values in [-2, 2) that look random, the same for every type and layout. On the CPU.
inline Tensor pattern(const Shape& shape, TensorOptions options, int seed) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  uint32_t state = 2654435761u * static_cast<uint32_t>(seed + 1);
  for (float& v : values) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 16) / 16384.f - 2.f;
  }
  const Tensor y = Tensor::empty(shape, options);
  kernels(y).elementwise.copy(Tensor::from(values, shape), y);
  return y;
}

}  // namespace engine::test
