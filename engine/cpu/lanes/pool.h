// The mean over each map, y[n][c] = sum over pixels of x[n][c] / (H W), and the shortcut's choice of pixels (option A
// of He et al. 2016), y[n][c + before](i, j) = x[n][c](s i, s j) with zeros in the channels before and behind; of
// tensors in batch_lanes, f32 or bf16.
#pragma once
#include "engine/kernels/pool.h"

namespace engine::cpu::lanes {

void global_average(const Tensor& x, const Tensor& y);             // x in batch_lanes, y (N, C) contiguous
void global_average_backward(const Tensor& dy, const Tensor& dx);  // dy (N, C) contiguous, dx in batch_lanes
void subsample(const Tensor& x, const SubsampleOptions& options, const Tensor& y);
void subsample_backward(const Tensor& dy, const SubsampleOptions& options, bool add, const Tensor& dx);

}  // namespace engine::cpu::lanes
