#include "ride/routing/expert_assignment.h"

#include <algorithm>

#include "engine/autograd/autocast.h"
#include "engine/nn/init.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"

namespace ride {

using engine::Tensor;

ExpertAssignment::ExpertAssignment(const ExpertAssignmentOptions& options, engine::Generator& generator)
    : options_(options) {
  engine::check(options.experts >= 2, "expert_assignment", "{} experts: nothing to assign with fewer than 2",
                options.experts);
  engine::check(options.top_choices >= 1, "expert_assignment", "top_choices is {}, expected >= 1", options.top_choices);
  options_.top_choices = std::min(options.top_choices, options.classes);
  for (int64_t i = 0; i + 1 < options_.experts; ++i)
    hidden_.push_back(&add<engine::Linear>(
        fmt::format("expert_help_pred_hidden_fcs.{}", i),
        engine::LinearOptions{.in_features = options_.features, .out_features = options_.hidden}, generator));
  shared_ = &add<engine::Linear>(
      "expert_help_pred_fc",
      engine::LinearOptions{.in_features = options_.top_choices + options_.hidden, .out_features = 1}, generator);
  for (engine::Linear* layer : hidden_) engine::init::kaiming_normal(layer->weight(), generator);
  engine::init::kaiming_normal(shared_->weight(), generator);
}

Tensor ExpertAssignment::operator()(int64_t head, const Tensor& features, const Tensor& logits) const {
  engine::check(head >= 0 && head + 1 < options_.experts, "expert_assignment", "no head {}: {} experts have {}", head,
                options_.experts, options_.experts - 1);
  engine::check(features.rank() == 2 && features.size(1) == options_.features, "expert_assignment",
                "features must be (N, {}), got {}", options_.features, features.shape());
  engine::check(logits.shape() == engine::Shape{features.size(0), options_.classes}, "expert_assignment",
                "logits must be ({}, {}), got {}", features.size(0), options_.classes, logits.shape());
  const engine::Autocast full(engine::DType::f32);  // as the classifiers: next to no work, and a threshold behind it
  // l2_normalize bounds the norm from below: a feature of zeros stays zeros instead of becoming NaN.
  const Tensor transformed = engine::relu((*hidden_[head])(engine::l2_normalize(features)));
  const Tensor top = engine::topk(logits, {.k = options_.top_choices}).values;
  return engine::squeeze((*shared_)(engine::concat({top, transformed}, 1)), 1);
}

std::vector<Tensor> ExpertAssignment::heads(const std::vector<Tensor>& features, const ExpertLogits& expert_logits,
                                            Variant variant) const {
  const std::size_t experts = static_cast<std::size_t>(options_.experts);
  engine::check(features.size() == experts && expert_logits.size() == experts, "expert_assignment",
                "made for {} experts, got features of {} and logits of {}", experts, features.size(),
                expert_logits.size());
  const std::vector<Tensor> inputs = assignment_inputs(expert_logits, variant);
  std::vector<Tensor> answers;
  for (std::size_t i = 0; i + 1 < experts; ++i)
    answers.push_back((*this)(static_cast<int64_t>(i), features[i], inputs[i]));
  return answers;
}

std::vector<Tensor> assignment_inputs(const ExpertLogits& expert_logits, Variant variant) {
  return variant == Variant::reference ? cumulative_means(expert_logits) : expert_logits;
}

}  // namespace ride
