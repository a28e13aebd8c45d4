#pragma once
#include "engine/core/tensor.h"

namespace engine::cuda {

// As ReduceKernels::sort, for dense x and index.
void sort(const Tensor& x, bool descending, const Tensor& index);

}  // namespace engine::cuda
