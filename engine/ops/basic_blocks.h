// A stage of a residual network of basic blocks, in training, as one op.
#pragma once
#include <span>

#include "engine/ops/conv.h"
#include "engine/ops/norm.h"

namespace engine {

// A convolution without a bias and the batch normalisation after it: w (K, C, R, S), the others (K).
struct ConvNorm {
  Tensor w;
  Conv2dOptions conv;
  Tensor weight, bias, running_mean, running_var;
  double momentum = 0.1, eps = 1e-5;  // as in BatchNormOptions
};

// relu(bn2(conv2(relu(bn1(conv1(x))))) + residual), the residual being x in every block but the first.
struct BasicBlockLayers {
  ConvNorm first, second;
};

// x (N, C, H, W) through one block after the other; `shortcut` is the first one's residual, of its result's shape and
// type, and may be x. Batch statistics are used, the running ones brought up to date. In batch_lanes what batch norms
// make for a convolution within a block, and of gradients within the stage, is made where it is read and never stored.
Tensor basic_blocks(const Tensor& x, const Tensor& shortcut, std::span<const BasicBlockLayers> blocks);

}  // namespace engine
