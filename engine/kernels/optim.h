// Optimizer updates: one sweep over all parameters.
#pragma once
#include <vector>

#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

// One parameter with its gradient and state, all of one shape and dense.
struct SgdItem {
  Tensor parameter, gradient, momentum;  // momentum is zero before the first step
};
struct SgdUpdate {
  double lr, momentum, weight_decay;
  bool nesterov;
};
struct AdamWItem {
  Tensor parameter, gradient, exp_avg, exp_avg_sq;
};
struct AdamWUpdate {
  double lr, beta1, beta2, eps, weight_decay;
  int64_t step;  // 1 for the first
};

template <class F>
void for_each_tensor(const std::vector<SgdItem>& items, F&& f) {
  for (const SgdItem& i : items) (f(i.parameter), f(i.gradient), f(i.momentum));
}
template <class F>
void for_each_tensor(const std::vector<AdamWItem>& items, F&& f) {
  for (const AdamWItem& i : items) (f(i.parameter), f(i.gradient), f(i.exp_avg), f(i.exp_avg_sq));
}

struct OptimKernels {
  Slot<void(const std::vector<SgdItem>&, const SgdUpdate&)> sgd{"sgd"};
  Slot<void(const std::vector<AdamWItem>&, const AdamWUpdate&)> adamw{"adamw"};
  // What the update of a recorded step (StepGraph) shall use at its next replay.
  Slot<void(Device, double lr, int64_t step)> prepare_replay{"optimizer prepare_replay"};
};

}  // namespace engine
