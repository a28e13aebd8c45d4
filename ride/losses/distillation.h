// Knowledge distillation (Hinton et al., 2015) from a teacher with more experts (paper section 3.3 and A.2).
#pragma once
#include "ride/expert_logits.h"
#include "ride/losses/loss_value.h"
#include "ride/variant.h"

namespace ride {

struct DistillationOptions {
  Variant variant = Variant::reference;
  double temperature = 1.5;  // T
  double weight = 1;         // of the distillation term
};

// Adds the teacher's term to the loss `ride` of the same batch. KD(s) = T^2 KL(softmax(teacher / T) || softmax(s / T)):
//
//   reference   n (ride + weight KD(zbar)): the authors' code repeats both once per expert, so that an expert's logits
//               get n times the gradient of `ride` but once that of KD
//   paper       ride + weight / n sum_e KD(z_e): each expert learns from the teacher, averaged as in eq. 4
//
// teacher_logits (N, C): the teacher's mean logits; no gradient flows into them. Parts: those of `ride` as they now
// enter the total, and "distillation".
LossValue distill(const LossValue& ride, const ExpertLogits& expert_logits, const engine::Tensor& teacher_logits,
                  const DistillationOptions& options = {});

}  // namespace ride
