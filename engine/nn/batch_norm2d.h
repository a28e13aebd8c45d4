// Batch normalisation with running statistics.
#pragma once
#include "engine/nn/module.h"
#include "engine/ops/norm.h"

namespace engine {

struct BatchNorm2dOptions {
  int64_t channels = 0;
  double momentum = 0.1;  // share of a batch's statistics in the running ones
  double eps = 1e-5;
};

// What is done in the same pass after normalising.
struct BatchNormFusion {
  Tensor residual = {};                     // added; x's shape
  bool relu = false;                        // applied last
  const ChannelMoments* moments = nullptr;  // x's, where the convolution before has found them
};

// x (N, channels, H, W) -> the same shape. Parameters weight (1), bias (0); buffers running_mean (0), running_var (1).
// In training it normalises by the batch and updates the buffers, in eval mode by the buffers.
class BatchNorm2d : public Layer {
 public:
  explicit BatchNorm2d(const BatchNorm2dOptions& options);
  Tensor forward(const Tensor& x) override { return forward(x, {}); }
  Tensor forward(const Tensor& x, const BatchNormFusion& fusion);
  Tensor operator()(const Tensor& x, const BatchNormFusion& fusion = {}) { return forward(x, fusion); }

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }
  const Tensor& running_mean() const { return running_mean_; }
  const Tensor& running_var() const { return running_var_; }
  const BatchNorm2dOptions& options() const { return options_; }

 private:
  BatchNorm2dOptions options_;
  Tensor weight_, bias_, running_mean_, running_var_;
};

}  // namespace engine
