// Pooling over windows of (N, C, H, W). Results of a batch_lanes input keep the format where a line says so; max_pool2d
// and avg_pool2d convert it to channels_last.
#pragma once
#include "engine/autograd/node.h"
#include "engine/kernels/pool.h"

namespace engine {

Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options);
Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options);
Tensor global_avg_pool2d(const Tensor& x);  // (N, C, H, W) -> (N, C), row-major

// x (N, C, H, W) -> (N, before + C + after, ceil(H / stride), ceil(W / stride)): every stride-th pixel, the added
// channels zero. Keeps x's memory format.
Tensor subsample2d(const Tensor& x, const SubsampleOptions& options);

}  // namespace engine
