// A convolution and the batch normalisation after it, as residual networks use them.
#pragma once
#include "engine/nn/batch_norm2d.h"
#include "engine/nn/conv2d.h"

namespace engine {

// relu?(bn(conv(x)) + residual?), conv without a bias. In training the convolution takes bn's statistics on the way;
// in eval mode under InferenceMode bn is folded into it.
Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, BatchNormFusion fusion = {});

// Two of them with a ReLU between: relu?(bn2(conv2(relu(bn1(conv1(x))))) + residual?), a basic block. In training what
// lies between is not stored in the batch_lanes format.
struct ConvBn {
  Conv2d& conv;
  BatchNorm2d& bn;
};
Tensor conv_bn_relu_conv_bn(ConvBn first, ConvBn second, const Tensor& x, BatchNormFusion fusion = {});

}  // namespace engine
