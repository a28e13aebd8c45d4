// Softmax along an axis.
#pragma once
#include "engine/autograd/node.h"

namespace engine {

Tensor softmax(const Tensor& x, int axis);
Tensor log_softmax(const Tensor& x, int axis);

}  // namespace engine
