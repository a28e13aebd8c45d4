// Checks an op's backward against central differences.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/core/tensor.h"

namespace engine {

struct GradCheckOptions {
  double step = 1e-6;       // h of (f(x+h) - f(x-h)) / 2h; for f64
  double tolerance = 1e-5;  // allowed |difference| / max(1, |numeric|)
};
struct GradCheckResult {
  bool ok = true;
  double worst = 0;     // largest relative difference seen
  std::string message;  // where it was: input, element, both values
};
// f maps the f64 inputs to a tensor of any shape; it is contracted with fixed random weights to a scalar, and the
// gradient of every input that requires one is compared element by element.
GradCheckResult grad_check(const std::function<Tensor(const std::vector<Tensor>&)>& f, std::vector<Tensor> inputs,
                           GradCheckOptions options = {});

}  // namespace engine
