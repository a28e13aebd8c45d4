// The walk back through the tape.
#pragma once
#include "engine/core/tensor.h"

namespace engine {

// Adds d(root * gradient)/d(leaf) to the grad of every leaf that root depends on. Each node is used once and then
// freed with what it saved; a second backward through it throws.
void backward(const Tensor& root, const Tensor& gradient);

}  // namespace engine
