// The logits of several experts for one batch, and their means (paper section 3.1).
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace ride {

// One (N, C) tensor per expert, in the order of the cascade.
using ExpertLogits = std::vector<engine::Tensor>;

// Throws naming `where` unless there is at least one expert and all have the same (N, C).
void check_expert_logits(const ExpertLogits& logits, const char* where);

// (N, C): the arithmetic mean of the logits, which ranks classes as the geometric mean of the probabilities does.
engine::Tensor mean_logits(const ExpertLogits& logits);

// Entry i is the mean over experts 0..i: what a cascade that stops after expert i answers.
std::vector<engine::Tensor> cumulative_means(const ExpertLogits& logits);

}  // namespace ride
