#include "engine/optim/optimizer.h"

#include <unordered_set>

namespace engine {

Optimizer::Optimizer(StateDict parameters) : parameters_(std::move(parameters)) {
  check(!parameters_.empty(), "optimizer", "got no parameters: pass module.named_parameters()");
  std::unordered_set<std::string> names;
  for (const auto& [name, parameter] : parameters_) {
    check(names.insert(name).second, "optimizer", "two parameters are named \"{}\"", name);
    check(parameter.defined() && parameter.is_dense(parameter.format()), "optimizer",
          "parameter \"{}\" must be a dense tensor, is {}", name, parameter.str());
  }
}

void Optimizer::zero_grad() {
  for (const auto& [name, parameter] : parameters_) parameter.set_grad({});
}

std::vector<Tensor> Optimizer::zeros_per_parameter() const {
  std::vector<Tensor> out;
  for (const auto& [name, parameter] : parameters_)
    out.push_back(Tensor::zeros(parameter.shape(), parameter.options()));
  return out;
}

void Optimizer::append_state(const char* kind, const std::vector<Tensor>& state, StateDict& out) const {
  for (std::size_t i = 0; i < state.size(); ++i) out.emplace_back(parameters_[i].first + "." + kind, state[i]);
}

}  // namespace engine
