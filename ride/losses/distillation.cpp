#include "ride/losses/distillation.h"

#include "engine/core/error.h"
#include "engine/ops/elementwise.h"
#include "ride/losses/softened_kl.h"

namespace ride {

using engine::Tensor;

LossValue distill(const LossValue& ride, const ExpertLogits& expert_logits, const Tensor& teacher_logits,
                  const DistillationOptions& options) {
  check_expert_logits(expert_logits, "distill");
  engine::check(teacher_logits.shape() == expert_logits[0].shape(), "distill", "teacher logits are {}, the experts' {}",
                teacher_logits.shape(), expert_logits[0].shape());
  engine::check(options.temperature > 0, "distill", "temperature is {}, expected > 0", options.temperature);
  const double n = static_cast<double>(expert_logits.size());
  const Tensor temperature = Tensor::scalar(options.temperature, teacher_logits.dtype(), teacher_logits.device());
  const double scale = options.weight * options.temperature * options.temperature;

  Tensor distillation;
  const double repeats = options.variant == Variant::reference ? n : 1;
  if (options.variant == Variant::reference) {
    distillation = softened_kl(teacher_logits, mean_logits(expert_logits), temperature) * (n * scale);
  } else {
    Tensor sum = softened_kl(teacher_logits, expert_logits[0], temperature);
    for (std::size_t e = 1; e < expert_logits.size(); ++e)
      sum = sum + softened_kl(teacher_logits, expert_logits[e], temperature);
    distillation = sum * (scale / n);
  }

  LossValue loss{.total = ride.total * repeats + distillation, .parts = {}};
  for (const auto& [part, value] : ride.parts) loss.parts.emplace_back(part, value * repeats);
  loss.parts.emplace_back("distillation", distillation.detach());
  return loss;
}

}  // namespace ride
