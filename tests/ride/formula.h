// Numbers by formula, so that golden files need not carry weights: the same in tests/golden/make_models.py.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/ops/shape_ops.h"

struct Interval {
  float low, high;
};

// Element i is an integer hash of (key, i), mapped to [low, high).
inline engine::Tensor by_formula(const engine::Shape& shape, uint32_t key, Interval range) {
  std::vector<float> values(shape.numel());
  for (uint32_t i = 0; i < values.size(); ++i) {
    uint32_t x = i + key * 0x9E3779B9u;
    x ^= x >> 16;
    x *= 0x7FEB352Du;
    x ^= x >> 15;
    x *= 0x846CA68Bu;
    x ^= x >> 16;
    values[i] = range.low + (range.high - range.low) * (static_cast<float>(x >> 8) * 0x1p-24f);
  }
  return engine::Tensor::from(values, shape);
}
