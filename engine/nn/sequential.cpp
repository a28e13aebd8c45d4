#include "engine/nn/sequential.h"

namespace engine {

Tensor Sequential::forward(const Tensor& x) {
  Tensor y = x;
  for (Layer* layer : layers_) y = layer->forward(y);
  return y;
}

}  // namespace engine
