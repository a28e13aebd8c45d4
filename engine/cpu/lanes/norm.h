// Batch normalisation of batch_lanes tensors, f32 or bf16: what engine/cpu/norm.cpp hands on. x, y, dy, residual and
// the results lie in batch_lanes; values per channel are f32. Results don't depend on the number of threads.
#pragma once
#include <array>
#include <vector>

#include "engine/kernels/norm.h"

namespace engine::cpu::lanes {

void norm_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance);
void normalize(const Tensor& x, const Tensor& mean, const Tensor& inv_std, const Tensor& weight, const Tensor& bias,
               const Tensor& residual, bool relu, const Tensor& y);
// Fills what `out` has: dx, dweight, dbias, and dresidual where it is defined.
void norm_backward(const BatchNormSaved& saved, const Tensor& dy, const BatchNormGradients& out);

using TwoSums = std::array<double, 2>;
// The rest of norm_backward where the sums of g and of g (x - mean) are known, g being what ReLU let through of the
// gradient: those of every channel for one part of the batch after the other. g's memory becomes dx.
BatchNormGradients norm_backward_onto(const BatchNormSaved& saved, const std::vector<TwoSums>& sums, const Tensor& g);

}  // namespace engine::cpu::lanes
