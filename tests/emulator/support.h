// Operands for the tests of engine/cuda's kernels.
#pragma once
#include "engine/core/random.h"
#include "engine/kernels/select.h"
#include "engine/ops/shape_ops.h"
#include "tests/distance.h"
#include "tests/parity/device.h"

namespace engine::test {

// Whole numbers from -8 to 7 in halves, which all types but bool and u8 hold (those get none below zero), with many
// equal ones among them.
inline Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed = 1) {
  Generator random(seed);
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  const bool is_unsigned = dtype == DType::u8 || dtype == DType::boolean;
  for (double& value : values) value = static_cast<double>(random.below(32)) / 2 - (is_unsigned ? 0 : 8);
  const Tensor x = Tensor::empty(shape, {.dtype = dtype});
  kernels(Device{}).elementwise.copy(Tensor::from(values, shape), x);
  return x;
}

inline Tensor random_indices(const Shape& shape, int64_t below, uint64_t seed = 2) {
  Generator random(seed);
  std::vector<int64_t> values(static_cast<std::size_t>(shape.numel()));
  for (int64_t& value : values) value = static_cast<int64_t>(random.below(static_cast<uint64_t>(below)));
  return Tensor::from(values, shape);
}

inline const std::vector<DType> all_types = {DType::f32, DType::bf16, DType::f16,    DType::f64,
                                             DType::i64, DType::u8,   DType::boolean};
inline const std::vector<DType> floating_types = {DType::f32, DType::bf16, DType::f16, DType::f64};

// What two roundings of a type may differ by, as a share of the largest value.
inline double rounding(DType dtype) {
  switch (dtype) {
    case DType::bf16: return 0x1p-8;
    case DType::f16: return 0x1p-11;
    case DType::f32: return 1e-6;
    default: return 1e-14;
  }
}

}  // namespace engine::test
