#include "engine/autograd/grad_check.h"

#include <cmath>

#include "engine/autograd/grad_mode.h"
#include "engine/core/random.h"

namespace engine {
namespace {

double contract(const Tensor& y, const Tensor& weights) {
  const std::vector<double> a = y.to<double>(), b = weights.to<double>();
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

GradCheckResult grad_check(const std::function<Tensor(const std::vector<Tensor>&)>& f, std::vector<Tensor> inputs,
                           GradCheckOptions options) {
  for (const Tensor& x : inputs)
    check(!x.requires_grad() || x.dtype() == DType::f64, "grad_check",
          "inputs that need a gradient must be f64, got {}", x.str());
  Tensor y = f(inputs);
  Generator random(20210503);
  Tensor weights = empty_like(y.detach());
  for (int64_t i = 0; i < weights.numel(); ++i) weights.data<double>()[i] = random.uniform(-1, 1);
  y.backward(weights);

  GradCheckResult result;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!inputs[k].requires_grad()) continue;
    const Tensor gradient = inputs[k].grad();
    const std::vector<double> analytic =
        gradient.defined() ? gradient.to<double>() : std::vector<double>(inputs[k].numel(), 0.0);
    NoGradGuard no_grad;
    // Elements are perturbed in storage order but compared in row-major order, so only dense row-major inputs map 1:1.
    check(inputs[k].is_contiguous(), "grad_check", "input {} must be contiguous: make views inside f", k);
    double* x = inputs[k].data<double>();
    for (int64_t i = 0; i < inputs[k].numel(); ++i) {
      const double saved = x[i];
      x[i] = saved + options.step;
      const double above = contract(f(inputs), weights);
      x[i] = saved - options.step;
      const double below = contract(f(inputs), weights);
      x[i] = saved;
      const double numeric = (above - below) / (2 * options.step);
      const double difference = std::abs(numeric - analytic[i]) / std::max(1.0, std::abs(numeric));
      if (difference > result.worst || std::isnan(difference)) {
        result.worst = difference;
        result.message = fmt::format("input {} element {}: analytic {} numeric {}", k, i, analytic[i], numeric);
      }
      if (!(difference <= options.tolerance)) result.ok = false;
    }
  }
  return result;
}

}  // namespace engine
