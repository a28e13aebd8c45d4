// A convolution and the batch norm behind it as one convolution: inference.
#pragma once
#include "engine/nn/batch_norm2d.h"
#include "engine/nn/conv2d.h"
#include "engine/ops/conv.h"

namespace engine {

// bn in eval mode is y = s z + (beta - mean s), s = gamma / sqrt(var + eps), per channel of z = conv(x): s goes into
// the weights, the rest into the bias.
struct FoldedConv2d {
  ConstantWeights weights;
  Tensor bias;
  Conv2dOptions options;

  // relu?(bn(conv(x)) + residual?), to rounding. Records nothing.
  Tensor operator()(const Tensor& x, const BatchNormFusion& fusion = {}) {
    return conv2d_fused(x, weights, {.bias = bias, .residual = fusion.residual, .relu = fusion.relu}, options);
  }
};

// Takes the parameters and statistics as they are now.
FoldedConv2d fold_batch_norm(const Conv2d& conv, const BatchNorm2d& bn);

}  // namespace engine
