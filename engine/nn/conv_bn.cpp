#include "engine/nn/conv_bn.h"

#include "engine/nn/fold_batch_norm.h"
#include "engine/nn/forward_observer.h"
#include "engine/nn/inference_mode.h"

namespace engine {

Tensor conv_bn(Conv2d& conv, BatchNorm2d& bn, const Tensor& x, BatchNormFusion fusion) {
  if (!bn.is_training()) {
    InferenceMode* inference = InferenceMode::current();
    if (!inference || ForwardObserver::active()) return bn(conv(x), fusion);
    return inference->derived(conv.weight(), [&] { return fold_batch_norm(conv, bn); })(x, fusion);
  }
  ChannelMoments moments;
  const Tensor y = conv.forward(x, moments);
  fusion.moments = &moments;
  return bn(y, fusion);
}

Tensor conv_bn_relu_conv_bn(ConvBn first, ConvBn second, const Tensor& x, BatchNormFusion fusion) {
  if (!first.bn.is_training() || ForwardObserver::active())
    return conv_bn(second.conv, second.bn, conv_bn(first.conv, first.bn, x, {.relu = true}), fusion);
  ChannelMoments before, after;
  const Tensor inner = first.conv.forward(x, before);
  const BatchNorm2d& bn = first.bn;
  const Tensor y = batch_norm_relu_conv2d(
      inner, bn.weight(), bn.bias(), bn.running_mean(), bn.running_var(),
      {.momentum = bn.options().momentum, .eps = bn.options().eps, .relu = true, .moments = &before},
      second.conv.weight(), second.conv.options().conv, after);
  fusion.moments = &after;
  return second.bn(y, fusion);
}

}  // namespace engine
