#include "engine/nn/conv_bn.h"

namespace engine {

Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, BatchNormFusion fusion) {
  if (!bn.is_training()) return bn(conv(x), fusion);
  ChannelMoments moments;
  const Tensor y = conv.forward(x, moments);
  fusion.moments = &moments;
  return bn(y, fusion);
}

}  // namespace engine
