// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
#pragma once
#include "engine/kernels/optim.h"
#include "engine/optim/optimizer.h"

namespace engine {

struct AdamWOptions {
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.01;
};

// p *= 1 - lr weight_decay;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
// p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)         t = 1 for the first step, the same for all
class AdamW : public Optimizer {
 public:
  explicit AdamW(StateDict parameters, const AdamWOptions& options = {});
  void step(double lr) override;
  void prepare_replay(double lr) override;
  // "<parameter>.exp_avg", "<parameter>.exp_avg_sq", and "step" (a scalar, i64): the steps taken.
  StateDict state_dict() const override;

 private:
  AdamWOptions options_;
  std::vector<Tensor> exp_avg_, exp_avg_sq_;
  Tensor steps_;
  std::vector<AdamWItem> items_;  // kept between steps for its memory only
};

}  // namespace engine
