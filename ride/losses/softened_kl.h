// The divergence between two softened predictions, on which diversity and distillation are built.
#pragma once
#include "engine/core/tensor.h"

namespace ride {

// KL(softmax(target / T) || softmax(logits / T)), summed over classes, averaged over the batch: a scalar.
// target and logits (N, C); temperature broadcasts: a scalar, (C) for one per class column, (N, 1) for one per sample.
// The target is taken as given: no gradient flows into it.
engine::Tensor softened_kl(const engine::Tensor& target, const engine::Tensor& logits,
                           const engine::Tensor& temperature);

}  // namespace ride
