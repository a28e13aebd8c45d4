#include "engine/optim/clip.h"

#include <cmath>

#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"

namespace engine {

double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm) {
  check(max_norm > 0, "clip_grad_norm", "max_norm must be positive, got {}", max_norm);
  NoGradGuard no_grad;
  double squares = 0;
  for (const Tensor& parameter : parameters)
    if (const Tensor g = parameter.grad(); g.defined()) squares += sum(g * g).item();
  const double norm = std::sqrt(squares);
  if (!std::isfinite(norm) || norm <= max_norm) return norm;
  for (const Tensor& parameter : parameters)
    if (const Tensor g = parameter.grad(); g.defined()) parameter.set_grad(g * (max_norm / (norm + 1e-6)));
  return norm;
}

void clip_grad_value(const std::vector<Tensor>& parameters, double limit) {
  check(limit > 0, "clip_grad_value", "the limit must be positive, got {}", limit);
  NoGradGuard no_grad;
  for (const Tensor& parameter : parameters)
    if (const Tensor g = parameter.grad(); g.defined()) parameter.set_grad(clamp(g, {.min = -limit, .max = limit}));
}

}  // namespace engine
