// Activations as layers, for Sequential.
#pragma once
#include "engine/nn/module.h"
#include "engine/ops/elementwise.h"

namespace engine {

class ReLU : public Layer {
 public:
  Tensor forward(const Tensor& x) override { return relu(x); }
};

}  // namespace engine
