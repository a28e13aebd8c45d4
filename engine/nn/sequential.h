// A chain of layers.
#pragma once
#include "engine/nn/module.h"

namespace engine {

// Applies its layers in order; they are named "0", "1", ... as PyTorch names them.
//
//   Sequential net;
//   net.append<Conv2d>(Conv2dLayerOptions{...});
//   net.append<ReLU>();
class Sequential : public Layer {
 public:
  // Makes a layer at the end of the chain.
  template <class L, class... Args>
  L& append(Args&&... args) {
    L& layer = add<L>(std::to_string(layers_.size()), std::forward<Args>(args)...);
    layers_.push_back(&layer);
    return layer;
  }
  Tensor forward(const Tensor& x) override;
  std::size_t size() const { return layers_.size(); }

 private:
  std::vector<Layer*> layers_;
};

}  // namespace engine
