// Pooling over windows of (N, C, H, W).
#pragma once
#include "engine/autograd/node.h"
#include "engine/kernels/pool.h"

namespace engine {

Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options);
Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options);
Tensor global_avg_pool2d(const Tensor& x);  // (N, C, H, W) -> (N, C)

}  // namespace engine
