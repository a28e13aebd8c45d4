// Batch norm's backward pass, which has a file of its own.
#pragma once
#include "engine/kernels/norm.h"

namespace engine::cuda {

BatchNormGradients batch_norm_backward(const BatchNormSaved& saved, const Tensor& dy, bool wants_dresidual);

}  // namespace engine::cuda
