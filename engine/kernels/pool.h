// Pooling kernels over (N, C, H, W).
#pragma once
#include "engine/core/tensor.h"
#include "engine/kernels/pair.h"
#include "engine/kernels/slot.h"

namespace engine {

struct Pool2dOptions {
  Pair kernel = 2;
  Pair stride = 0;  // 0: the kernel's size
  Pair padding = 0;
  bool count_include_pad = true;  // average pooling: whether padding counts in the divisor
};

struct PoolKernels {
  // `where` receives what max_backward needs to find the winners again; its layout is the back end's own.
  Slot<void(const Tensor& x, const Pool2dOptions&, const Tensor& y, Tensor& where)> max{"max_pool2d"};
  Slot<void(const Tensor& dy, const Tensor& where, const Pool2dOptions&, const Tensor& dx)> max_backward{
      "max_pool2d backward"};
  Slot<void(const Tensor& x, const Pool2dOptions&, const Tensor& y)> average{"avg_pool2d"};
  Slot<void(const Tensor& dy, const Pool2dOptions&, const Tensor& dx)> average_backward{"avg_pool2d backward"};
};

}  // namespace engine
