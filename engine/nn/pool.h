// Pooling layers: the functions of engine/ops/pool.h with their options kept.
#pragma once
#include "engine/nn/module.h"
#include "engine/ops/pool.h"

namespace engine {

// x (N, C, H, W) -> (N, C, P, Q)
class MaxPool2d : public Layer {
 public:
  explicit MaxPool2d(const Pool2dOptions& options) : options_(options) {}
  Tensor forward(const Tensor& x) override { return max_pool2d(x, options_); }

 private:
  Pool2dOptions options_;
};

// x (N, C, H, W) -> (N, C, P, Q)
class AvgPool2d : public Layer {
 public:
  explicit AvgPool2d(const Pool2dOptions& options) : options_(options) {}
  Tensor forward(const Tensor& x) override { return avg_pool2d(x, options_); }

 private:
  Pool2dOptions options_;
};

// x (N, C, H, W) -> (N, C): the mean over the whole map
class GlobalAvgPool : public Layer {
 public:
  Tensor forward(const Tensor& x) override { return global_avg_pool2d(x); }
};

}  // namespace engine
