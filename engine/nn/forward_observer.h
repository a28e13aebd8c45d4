// ForwardObserver: sees every layer with parameters that runs while it lives (pools and activations do not report). A
// network is described (names, shapes, costs) by running it once under one of these, so no description can drift from
// what the network does.
#pragma once
#include <functional>

#include "engine/nn/module.h"

namespace engine {

// Of this thread; a second one inside replaces the first while it lives.
class ForwardObserver {
 public:
  using Callback = std::function<void(const Module& layer, const Tensor& output)>;

  explicit ForwardObserver(Callback callback);
  ~ForwardObserver();
  ForwardObserver(const ForwardObserver&) = delete;
  ForwardObserver& operator=(const ForwardObserver&) = delete;

  // Whether one lives: layers then run one by one, not fused with others.
  static bool active();
  // Called by layers with their output, which it returns.
  static Tensor seen(const Module& layer, Tensor output);

 private:
  Callback callback_;
  ForwardObserver* outer_;
};

}  // namespace engine
