// Kernels over whole axes.
#pragma once
#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

struct ReduceKernels {
  // y = scale * sum of x over every axis where y has size 1 and x has not; same rank.
  Slot<void(const Tensor& x, double scale, const Tensor& y)> sum{"sum"};
  // Position (i64) of the first largest element along `axis`; index has x's shape without that axis. NaN wins.
  Slot<void(const Tensor& x, int axis, const Tensor& index)> argmax{"argmax"};
  // Order (i64) of the first k of the sorted last axis, stable; x (..., n) -> index (..., k).
  Slot<void(const Tensor& x, bool descending, const Tensor& index)> sort{"sort"};
  // Over the last axis of a contiguous x: y = softmax(x), or its logarithm.
  Slot<void(const Tensor& x, bool log, const Tensor& y)> softmax{"softmax"};
  Slot<void(const Tensor& y, const Tensor& dy, bool log, const Tensor& dx)> softmax_backward{"softmax_backward"};
};

}  // namespace engine
