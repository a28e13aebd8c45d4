// How far a tensor is from the one that was wanted.
#pragma once
#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/tensor.h"

namespace engine::test {

// The largest difference as a share of the largest value that was wanted, infinite where one is not a number; shapes
// must agree.
inline double relative_distance(const Tensor& got, const Tensor& wanted) {
  REQUIRE(got.shape() == wanted.shape());
  const auto a = got.to<double>(), b = wanted.to<double>();
  double worst = 0, largest = 1e-30;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i] - b[i])) return INFINITY;
    worst = std::max(worst, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  return worst / largest;
}

}  // namespace engine::test
