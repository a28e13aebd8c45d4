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

// Every stride-th pixel, with channels of zeros added: what a shortcut without parameters does.
struct SubsampleOptions {
  int64_t stride = 1;
  int64_t channels_before = 0, channels_after = 0;
};

struct PoolKernels {
  // `where` receives what max_backward needs to find the winners again; its layout is the back end's own.
  Slot<void(const Tensor& x, const Pool2dOptions&, const Tensor& y, Tensor& where)> max{"max_pool2d"};
  Slot<void(const Tensor& dy, const Tensor& where, const Pool2dOptions&, const Tensor& dx)> max_backward{
      "max_pool2d backward"};
  Slot<void(const Tensor& x, const Pool2dOptions&, const Tensor& y)> average{"avg_pool2d"};
  Slot<void(const Tensor& dy, const Pool2dOptions&, const Tensor& dx)> average_backward{"avg_pool2d backward"};
  // y (N, C) contiguous: the mean over every map of x.
  Slot<void(const Tensor& x, const Tensor& y)> global_average{"global_avg_pool2d"};
  Slot<void(const Tensor& dy, const Tensor& dx)> global_average_backward{"global_avg_pool2d backward"};
  // y is dense and in x's format, dx likewise.
  Slot<void(const Tensor& x, const SubsampleOptions&, const Tensor& y)> subsample{"subsample2d"};
  // dx, or its sum with what dx holds already if `add`.
  Slot<void(const Tensor& dy, const SubsampleOptions&, bool add, const Tensor& dx)> subsample_backward{
      "subsample2d backward"};
};

}  // namespace engine
