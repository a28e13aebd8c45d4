// Choosing images of a tensor in batch_lanes: what a cascade does with those that go on.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace engine::cpu::lanes {

// Image n of y is image index[n] of x; both in batch_lanes, of one dtype. The chosen images close up, so that what
// follows works on as few groups as they fill. Throws for an index that x does not have.
void select_images(const Tensor& x, const std::vector<int64_t>& index, const Tensor& y);

}  // namespace engine::cpu::lanes
