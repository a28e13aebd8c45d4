// Optimizer: turns the gradients of named parameters into their next values.
//
//   optimizer.zero_grad();
//   loss.backward();
//   optimizer.step(schedule.rate(epoch));
#pragma once
#include <vector>

#include "engine/core/state_dict.h"

namespace engine {

class Optimizer {
 public:
  explicit Optimizer(StateDict parameters);  // module.named_parameters()
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // Updates every parameter that has a gradient with learning rate lr; the others stay as they are.
  virtual void step(double lr) = 0;
  // In place of step(lr) where the step is part of a recording that is replayed (StepGraph): the host's share of it.
  virtual void prepare_replay(double lr) = 0;
  // Forgets all gradients; their memory goes back to the pool.
  void zero_grad();
  // What the next step depends on besides parameters: "<parameter>.<kind>". The handles share the optimizer's storage:
  // copying into them (load_state in engine/io) continues another run.
  virtual StateDict state_dict() const = 0;

  const StateDict& parameters() const { return parameters_; }

 protected:
  // One zero tensor per parameter, of its shape and layout.
  std::vector<Tensor> zeros_per_parameter() const;
  void append_state(const char* kind, const std::vector<Tensor>& state, StateDict& out) const;

 private:
  StateDict parameters_;
};

}  // namespace engine
