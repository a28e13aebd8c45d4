// Operands as kernels want them, copied only where they are not so already. Undefined tensors stay undefined.
#pragma once
#include "engine/core/tensor.h"

namespace engine::cuda {

// y = x, converting type and layout.
void copy(const Tensor& x, const Tensor& y);

Tensor dense(const Tensor& x, MemoryFormat format);
Tensor as_type(const Tensor& x, DType dtype);

}  // namespace engine::cuda
