// The pooling kernels of the files beside pool.cu.
#pragma once
#include "engine/kernels/pool.h"

namespace engine::cuda {

void average_pool(const Tensor& x, const Pool2dOptions& options, const Tensor& y);
void average_pool_backward(const Tensor& dy, const Pool2dOptions& options, const Tensor& dx);
void global_average_pool(const Tensor& x, const Tensor& y);
void global_average_pool_backward(const Tensor& dy, const Tensor& dx);

void subsample(const Tensor& x, const SubsampleOptions& options, const Tensor& y);
void subsample_backward(const Tensor& dy, const SubsampleOptions& options, bool add, const Tensor& dx);

}  // namespace engine::cuda
