// Convolutions run by cuDNN: each problem's plan is found once for each device and kept.
#pragma once
#include "engine/cuda/conv_problem.h"

namespace engine::cuda {

// Runs the problem on the context's stream; bias and residual are undefined where the problem has none. False where
// cuDNN has no plan for a fused problem; for any other that is an Error. `op` names the caller.
struct ConvOperands {
  const Tensor &x, &w, &y;
  const Tensor& bias = undefined;
  const Tensor& residual = undefined;

  static const Tensor undefined;
};
bool run_conv(const char* op, const ConvProblem& problem, const ConvOperands& operands);

}  // namespace engine::cuda
