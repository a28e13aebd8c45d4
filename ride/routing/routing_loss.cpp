#include "ride/routing/routing_loss.h"

#include "engine/autograd/grad_mode.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "ride/routing/expert_assignment.h"

namespace ride {

using engine::Tensor;

std::vector<Tensor> routing_targets(const ExpertLogits& expert_logits, const Tensor& labels, Variant variant) {
  const engine::NoGradGuard no_grad;
  check_expert_logits(expert_logits, "routing_targets");
  std::vector<Tensor> right;  // 1 where prediction i is correct
  for (const Tensor& logits : assignment_inputs(expert_logits, variant))
    right.push_back(engine::cast(engine::equal(engine::argmax(logits, 1), labels), logits.dtype()));

  // From the last head to the first, so that "a later one is right" grows by one prediction at a time.
  std::vector<Tensor> targets(right.size() - 1);
  Tensor all_later_wrong = 1 - right.back();
  for (std::size_t i = right.size() - 1; i-- > 0;) {
    const Tensor wrong = 1 - right[i];
    targets[i] = wrong * (1 - all_later_wrong);
    all_later_wrong = all_later_wrong * wrong;
  }
  return targets;
}

Tensor routing_loss(const std::vector<Tensor>& heads, const ExpertLogits& expert_logits, const Tensor& labels,
                    const RoutingLossOptions& options) {
  engine::check(!heads.empty() && heads.size() + 1 == expert_logits.size(), "routing_loss",
                "{} heads for {} experts, expected one fewer than experts", heads.size(), expert_logits.size());
  const std::vector<Tensor> targets = routing_targets(expert_logits, labels, options.variant);
  const Tensor pos_weight = Tensor::scalar(options.pos_weight, heads[0].dtype(), heads[0].device());
  Tensor sum;
  for (std::size_t i = 0; i < heads.size(); ++i) {
    const Tensor head = engine::bce_with_logits(heads[i], targets[i], {.pos_weight = pos_weight});
    sum = sum.defined() ? sum + head : head;
  }
  return sum / static_cast<double>(heads.size());
}

}  // namespace ride
