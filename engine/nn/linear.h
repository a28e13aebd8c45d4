// Linear layers: the plain one and the cosine classifier.
#pragma once
#include "engine/core/random.h"
#include "engine/nn/module.h"

namespace engine {

struct LinearOptions {
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool bias = true;
};

// x (N, in) -> (N, out); weight (out, in), bias (out). Starts as PyTorch's: both uniform in +-1/sqrt(in).
class Linear : public Layer {
 public:
  explicit Linear(const LinearOptions& options, Generator& generator = default_generator());
  Tensor forward(const Tensor& x) override;

  const Tensor& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }  // undefined without one

 private:
  Tensor weight_, bias_;
};

struct NormedLinearOptions {
  int64_t in_features = 0;
  int64_t out_features = 0;
  double scale = 1;  // s: 30 in the RIDE models
};

// Cosine classifier: out = s (x / |x|) @ (W / |W|), |W| per column; x (N, in) -> (N, out) in [-s, s]. weight is stored
// (in, out), no bias; it starts as uniform directions of length 1 (init::unit_columns).
class NormedLinear : public Layer {
 public:
  explicit NormedLinear(const NormedLinearOptions& options, Generator& generator = default_generator());
  Tensor forward(const Tensor& x) override;

  const Tensor& weight() const { return weight_; }
  double scale() const { return scale_; }

 private:
  double scale_;
  Tensor weight_;
};

}  // namespace engine
