// Two-dimensional convolution with its own weight.
#pragma once
#include "engine/core/random.h"
#include "engine/nn/module.h"
#include "engine/ops/conv.h"

namespace engine {

struct Conv2dLayerOptions {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  Pair kernel = 3;
  Conv2dOptions conv = {};  // stride, padding, dilation, groups
  bool bias = true;
};

// x (N, in_channels, H, W) -> (N, out_channels, P, Q) as conv2d; weight (out, in/groups, R, S), bias (out).
// Starts as PyTorch's: weight and bias uniform in +-1/sqrt(fan_in).
class Conv2d : public Layer {
 public:
  explicit Conv2d(const Conv2dLayerOptions& options, Generator& generator = default_generator());
  Tensor forward(const Tensor& x) override;
  // With the moments of the result, for a layer without a bias that batch normalisation follows.
  Tensor forward(const Tensor& x, ChannelMoments& moments);

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }  // undefined without one
  const Conv2dLayerOptions& options() const { return options_; }

 private:
  Conv2dLayerOptions options_;
  Tensor weight_, bias_;
};

}  // namespace engine
