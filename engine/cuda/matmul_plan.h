// Matrix products run by cuBLASLt: each problem's algorithm is chosen once for each device and kept.
#pragma once
#include "engine/cuda/matmul_problem.h"

namespace engine::cuda {

// y = a b + bias?, or y += a b, on the context's stream. The tensors are those that the problem describes; bias (n) is
// dense, or undefined where the problem has none. False where cuBLASLt has no algorithm.
bool run_matmul(const MatmulProblem& problem, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y);

}  // namespace engine::cuda
