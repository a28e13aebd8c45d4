// Models filled by formula, compared with what PyTorch made of the same ones (tests/golden/make_models.py).
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/nn/module.h"
#include "tests/golden.h"
#include "tests/ride/formula.h"

inline const Golden& golden() {
  static const Golden values("models.safetensors");
  return values;
}

// As fill_net of tests/golden/make_models.py.
inline void fill(const engine::Module& net) {
  uint32_t place = 0;
  for (const auto& [name, tensor] : net.state_dict()) {
    Interval range{-.1f, .1f};
    if (tensor.rank() == 4) {
      const float bound = static_cast<float>(
          std::sqrt(6.0 * static_cast<double>(tensor.size(0)) / static_cast<double>(tensor.numel())));
      range = {-bound, bound};
    } else if (tensor.rank() == 2) {
      range = {-.5f, .5f};
    } else if (name.ends_with("running_var") || (name.find("bn") != std::string::npos && name.ends_with("weight"))) {
      range = {.5f, 1.5f};
    }
    copy_into(by_formula(tensor.shape(), place++, range), tensor);
  }
}

// The first elements of x against the stored ones: |difference| <= tolerance * (largest stored value).
inline void check_close(const std::string& name, const engine::Tensor& x, double tolerance) {
  CAPTURE(name);
  const std::vector<float> values = x.to<float>(), expected = golden()[name].to<float>();
  REQUIRE(values.size() >= expected.size());
  double largest = 0, worst = 0;
  bool finite = true;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    worst = std::max(worst, std::abs(static_cast<double>(values[i]) - expected[i]));
    finite = finite && std::isfinite(values[i]);
  }
  CHECK(finite);
  CHECK(worst <= tolerance * largest);
}
