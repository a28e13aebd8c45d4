#include "engine/nn/conv2d.h"

#include <cmath>

#include "engine/nn/forward_observer.h"
#include "engine/nn/init.h"

namespace engine {

Conv2d::Conv2d(const Conv2dLayerOptions& options, Generator& generator) : options_(options) {
  const int64_t groups = options.conv.groups;
  check(options.in_channels > 0 && options.out_channels > 0 && options.kernel.h > 0 && options.kernel.w > 0, "Conv2d",
        "channels and kernel must be positive, got {} -> {} with kernel ({}, {})", options.in_channels,
        options.out_channels, options.kernel.h, options.kernel.w);
  check(groups > 0 && options.in_channels % groups == 0 && options.out_channels % groups == 0, "Conv2d",
        "{} groups don't divide {} -> {} channels", groups, options.in_channels, options.out_channels);
  const Shape shape{options.out_channels, options.in_channels / groups, options.kernel.h, options.kernel.w};
  weight_ = register_parameter("weight", Tensor::empty(shape));
  init::kaiming_uniform(weight_, generator);
  if (!options.bias) return;
  bias_ = register_parameter("bias", Tensor::empty({options.out_channels}));
  init::uniform(bias_, 1 / std::sqrt(static_cast<double>(init::fan_in(weight_))), generator);
}

Tensor Conv2d::forward(const Tensor& x) {
  return ForwardObserver::seen(*this, conv2d(x, weight_, bias_, options_.conv));
}

Tensor Conv2d::forward(const Tensor& x, ChannelMoments& moments) {
  check(!options_.bias, "Conv2d", "moments are taken of a convolution without a bias");
  return ForwardObserver::seen(*this, conv2d_with_moments(x, weight_, options_.conv, moments));
}

}  // namespace engine
