#include "engine/optim/sgd.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"

namespace engine {

Sgd::Sgd(StateDict parameters, const SgdOptions& options)
    : Optimizer(std::move(parameters)), options_(options), momentum_(zeros_per_parameter()) {
  check(options.momentum >= 0 && options.momentum < 1, "sgd", "momentum must be in [0, 1), got {}", options.momentum);
  check(options.weight_decay >= 0, "sgd", "weight decay must not be negative, got {}", options.weight_decay);
  check(!options.nesterov || options.momentum > 0, "sgd", "nesterov needs a momentum above 0");
}

void Sgd::step(double lr) {
  profile::Scope scope("sgd");
  items_.clear();
  for (std::size_t i = 0; i < parameters().size(); ++i) {
    const Tensor& parameter = parameters()[i].second;
    if (Tensor gradient = parameter.grad(); gradient.defined()) items_.push_back({parameter, gradient, momentum_[i]});
  }
  if (!items_.empty())
    kernels(items_[0].parameter)
        .optim.sgd(items_, {.lr = lr,
                            .momentum = options_.momentum,
                            .weight_decay = options_.weight_decay,
                            .nesterov = options_.nesterov});
  items_.clear();  // lets the gradients go as soon as their owners do
}

void Sgd::prepare_replay(double lr) {
  if (!momentum_.empty()) kernels(momentum_[0]).optim.prepare_replay(momentum_[0].device(), lr, 0);
}

StateDict Sgd::state_dict() const {
  StateDict out;
  append_state("momentum", momentum_, out);
  return out;
}

}  // namespace engine
