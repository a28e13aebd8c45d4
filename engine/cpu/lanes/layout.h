// Tensors into and out of batch_lanes, the choice of images inside it, and the zeros that fill up its last group.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace engine::cpu::lanes {

template <class... Tensors>
bool any_in_lanes(const Tensors&... tensors) {
  return ((tensors.defined() && tensors.is_dense(MemoryFormat::batch_lanes)) || ...);
}

// y = x where at least one of them lies in batch_lanes; dtypes and layouts may differ.
void copy(const Tensor& x, const Tensor& y);

// Image n of y is image index[n] of x; both in batch_lanes, of one dtype. The chosen images close up, so that what
// follows works on as few groups as they fill. Throws for an index that x does not have.
void select_images(const Tensor& x, const std::vector<int64_t>& index, const Tensor& y);

// Writes zeros into the lanes of y (batch_lanes) that stand for no image.
void clear_padding(const Tensor& y);

}  // namespace engine::cpu::lanes
