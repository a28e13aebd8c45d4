// Stochastic gradient descent.
#pragma once
#include "engine/kernels/optim.h"
#include "engine/optim/optimizer.h"

namespace engine {

struct SgdOptions {
  double momentum = 0;
  double weight_decay = 0;
  bool nesterov = false;  // needs momentum > 0
};

// g = grad + weight_decay p;  v = momentum v + g;  p -= lr (nesterov ? g + momentum v : v)
// v starts at zero, which with no dampening equals PyTorch's first step v = g. All parameters go in one sweep.
class Sgd : public Optimizer {
 public:
  Sgd(StateDict parameters, const SgdOptions& options);
  void step(double lr) override;
  void prepare_replay(double lr) override;
  StateDict state_dict() const override;  // "<parameter>.momentum"

 private:
  SgdOptions options_;
  std::vector<Tensor> momentum_;
  std::vector<SgdItem> items_;  // kept between steps for its memory only
};

}  // namespace engine
