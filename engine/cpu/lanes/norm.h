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
// `dresidual` is filled where it is defined; it may be dy.
BatchNormGradients norm_backward(const BatchNormSaved& saved, const Tensor& dy, const Tensor& dresidual);
// Without the pass that makes dx: g receives what ReLU let through of dy, and may be dy.
LazyBatchNormGradients norm_backward_lazy(const BatchNormSaved& saved, const Tensor& dy, const Tensor& g);

using TwoSums = std::array<double, 2>;
// The same where g and its sums are known: of g and of g (x - mean), those of every channel for one part of the batch
// after the other.
LazyBatchNormGradients norm_gradients(const BatchNormSaved& saved, const std::vector<TwoSums>& sums, const Tensor& g);

// The gradient itself, of one with a rule (a is defined), in g's memory where nobody else has it.
Tensor made(const LazyGradient& gradient);

}  // namespace engine::cpu::lanes
