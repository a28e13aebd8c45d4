// Copies between tensors of equal shape and any strides, as files and state dicts need.
#pragma once
#include "engine/core/tensor.h"

namespace engine {

// True when copy_elements can convert between the two: equal types, or both floating.
bool can_copy(DType from, DType into);

// into[i] = from[i] for every element; shapes must be equal, `into` keeps its memory layout and dtype.
void copy_elements(const Tensor& from, const Tensor& into);

// `x` itself when it lies row-major, else a row-major copy.
Tensor row_major(const Tensor& x);

}  // namespace engine
