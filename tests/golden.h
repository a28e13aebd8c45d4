// Values that PyTorch computed (tests/golden/), and comparisons with them. Needs -DRIDE_SOURCE_ROOT="...".
#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "engine/core/error.h"
#include "engine/io/safetensors.h"
#include "engine/ops/shape_ops.h"

class Golden {
 public:
  explicit Golden(const std::string& file) {
    for (auto& [name, tensor] : engine::load_safetensors(RIDE_SOURCE_ROOT "/tests/golden/" + file).tensors)
      tensors_[name] = tensor;
  }
  const engine::Tensor& operator[](const std::string& name) const {
    engine::check(tensors_.contains(name), "golden", "no tensor {}", name);
    return tensors_.at(name);
  }
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  // Row e of a tensor as a fresh leaf of the tape, for each e.
  std::vector<engine::Tensor> leaves(const std::string& name) const {
    std::vector<engine::Tensor> rows;
    for (int64_t e = 0; e < (*this)[name].size(0); ++e)
      rows.push_back(engine::clone(engine::select((*this)[name], 0, e)).set_requires_grad());
    return rows;
  }

 private:
  std::map<std::string, engine::Tensor> tensors_;
};

// Largest |a - b| / max(1, |b|); infinite where shapes differ or something is NaN.
inline double difference(const engine::Tensor& a, const engine::Tensor& b) {
  if (!a.defined() || a.shape() != b.shape()) return INFINITY;
  const std::vector<double> x = a.to<double>(), y = b.to<double>();
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double d = std::abs(x[i] - y[i]) / std::max(1.0, std::abs(y[i]));
    worst = d <= worst ? worst : std::isnan(d) ? INFINITY : d;
  }
  return worst;
}

inline double difference(const std::vector<double>& a, const engine::Tensor& b) {
  return difference(engine::Tensor::from(a, {static_cast<int64_t>(a.size())}), b);
}
