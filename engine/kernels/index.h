// Kernels that read or write at places given by an i64 tensor. An index outside [0, size) throws with its value.
#pragma once
#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

struct IndexKernels {
  // y[..., i, ...] = x[..., index[..., i, ...], ...] along `axis`; y and index share a shape. index may be a broadcast
  // view (strides of 0).
  Slot<void(const Tensor& x, int axis, const Tensor& index, const Tensor& y)> gather{"gather"};
  // y[..., index[..., i, ...], ...] = (or +=) source[..., i, ...].
  Slot<void(const Tensor& source, int axis, const Tensor& index, bool add, const Tensor& y)> scatter{"scatter"};
  // The positions of a mask's (n) true elements and then of the others, each in their order: index (n) i64. count (1)
  // i64: how many are true.
  Slot<void(const Tensor& mask, const Tensor& index, const Tensor& count)> partition{"partition"};
};

}  // namespace engine
