#include "engine/optim/adamw.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"

namespace engine {

AdamW::AdamW(StateDict parameters, const AdamWOptions& options)
    : Optimizer(std::move(parameters)),
      options_(options),
      exp_avg_(zeros_per_parameter()),
      exp_avg_sq_(zeros_per_parameter()),
      steps_(Tensor::zeros({}, {.dtype = DType::i64})) {
  for (const double beta : {options.beta1, options.beta2})
    check(beta >= 0 && beta < 1, "adamw", "betas must be in [0, 1), got {}", beta);
  check(options.eps >= 0 && options.weight_decay >= 0, "adamw",
        "eps and weight decay must not be negative, got {} and {}", options.eps, options.weight_decay);
}

void AdamW::step(double lr) {
  profile::Scope scope("adamw");
  items_.clear();
  for (std::size_t i = 0; i < parameters().size(); ++i) {
    const Tensor& parameter = parameters()[i].second;
    if (Tensor gradient = parameter.grad(); gradient.defined())
      items_.push_back({parameter, gradient, exp_avg_[i], exp_avg_sq_[i]});
  }
  const int64_t t = ++*steps_.data<int64_t>();
  if (!items_.empty())
    kernels(items_[0].parameter)
        .optim.adamw(items_, {.lr = lr,
                              .beta1 = options_.beta1,
                              .beta2 = options_.beta2,
                              .eps = options_.eps,
                              .weight_decay = options_.weight_decay,
                              .step = t});
  items_.clear();  // lets the gradients go as soon as their owners do
}

void AdamW::prepare_replay(double lr) {
  const int64_t t = ++*steps_.data<int64_t>();
  if (!exp_avg_.empty()) kernels(exp_avg_[0]).optim.prepare_replay(exp_avg_[0].device(), lr, t);
}

StateDict AdamW::state_dict() const {
  StateDict out;
  append_state("exp_avg", exp_avg_, out);
  append_state("exp_avg_sq", exp_avg_sq_, out);
  out.emplace_back("step", steps_);
  return out;
}

}  // namespace engine
