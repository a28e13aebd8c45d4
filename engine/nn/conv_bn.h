// A convolution and the batch normalisation after it, as residual networks use them.
#pragma once
#include "engine/nn/batch_norm2d.h"
#include "engine/nn/conv2d.h"
#include "engine/ops/basic_blocks.h"

namespace engine {

// relu?(bn(conv(x)) + residual?), conv without a bias. In training the convolution takes bn's statistics on the way;
// in eval mode under InferenceMode bn is folded into it.
Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, BatchNormFusion fusion = {});

// Both as basic_blocks takes them.
ConvNorm conv_norm_of(const Conv2d& conv, const BatchNorm2d& bn);

}  // namespace engine
