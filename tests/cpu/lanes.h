// What the tests of batch_lanes share.
#pragma once
#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "engine/ops/shape_ops.h"

namespace lanes_test {

// Normal numbers in row-major order.
inline engine::Tensor normal(const engine::Shape& shape, uint64_t stream, engine::DType dtype = engine::DType::f32) {
  engine::Generator random(11, stream);
  const engine::Tensor x = engine::Tensor::empty(shape);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return engine::cast(x, dtype);
}

inline engine::Tensor in_lanes(const engine::Tensor& x) {
  return engine::contiguous(x, engine::MemoryFormat::batch_lanes);
}

// x is in batch_lanes, and the lanes of images that don't exist are zero (bits, not only value).
inline void check_padding(const engine::Tensor& x, const std::string& what) {
  CAPTURE(what);
  CAPTURE(x.str());
  REQUIRE(x.format() == engine::MemoryFormat::batch_lanes);
  const engine::Tensor groups = x.groups();
  const int64_t lanes = engine::images_per_group, rest = x.size(0) % lanes;
  if (rest == 0) return;
  const std::size_t size = engine::size_of(x.dtype());
  int64_t bad = 0;
  const int64_t image = x.size(1) * x.size(2) * x.size(3);
  const std::byte* last = groups.raw() + static_cast<std::size_t>((groups.size(0) - 1) * image * lanes) * size;
  for (int64_t i = 0; i < image; ++i)
    for (std::size_t k = static_cast<std::size_t>(rest) * size; k < static_cast<std::size_t>(lanes) * size; ++k)
      bad += last[static_cast<std::size_t>(i * lanes) * size + k] != std::byte{0};
  CHECK(bad == 0);
}

}  // namespace lanes_test
