// What the expert assignment heads learn (paper section 3.3, eq. 5).
#pragma once
#include <vector>

#include "ride/expert_logits.h"
#include "ride/variant.h"

namespace ride {

// One (N) tensor of the logits' dtype per head i = 0..n-2: 1 where prediction i is wrong and a later one right, else 0.
// Prediction i is that of the mean of experts 0..i (`reference`) or of expert i alone (`paper`). labels (N) i64.
std::vector<engine::Tensor> routing_targets(const ExpertLogits& expert_logits, const engine::Tensor& labels,
                                            Variant variant);

struct RoutingLossOptions {
  Variant variant = Variant::reference;
  double pos_weight = 100;  // omega_p: weight of samples that need the next expert; the others weigh 1
};

// Mean over the heads of the binary cross-entropy, itself a mean over samples. heads: n - 1 tensors (N) from
// ExpertAssignment::heads; expert_logits of all n experts.
engine::Tensor routing_loss(const std::vector<engine::Tensor>& heads, const ExpertLogits& expert_logits,
                            const engine::Tensor& labels, const RoutingLossOptions& options = {});

}  // namespace ride
