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

ConvNorm conv_norm_of(const Conv2d& conv, const BatchNorm2d& bn) {
  return {conv.weight(),     conv.options().conv, bn.weight(),           bn.bias(),
          bn.running_mean(), bn.running_var(),    bn.options().momentum, bn.options().eps};
}

}  // namespace engine
