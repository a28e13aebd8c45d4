// Gradient clipping, between backward and step.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace engine {

// Scales all gradients by max_norm / (norm + 1e-6) where their common Euclidean norm exceeds max_norm. Returns the norm
// before clipping; where it is not finite the gradients stay as they are, for the caller to judge.
double clip_grad_norm(const std::vector<Tensor>& parameters, double max_norm);

// Cuts every element of every gradient into [-limit, limit].
void clip_grad_value(const std::vector<Tensor>& parameters, double limit);

}  // namespace engine
