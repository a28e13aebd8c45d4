#include "engine/nn/init.h"

#include <cmath>
#include <vector>

#include "engine/ops/shape_ops.h"

namespace engine::init {
namespace {

template <class Draw>
void fill(const Tensor& w, Draw&& draw) {
  std::vector<float> values(w.numel());
  for (float& value : values) value = draw();
  copy_into(cast(Tensor::from(values, w.shape()), w.dtype()), w);
}

void he_normal(const Tensor& w, int64_t fan, Generator& generator) {
  const float deviation = static_cast<float>(std::sqrt(2.0 / static_cast<double>(fan)));
  fill(w, [&] { return deviation * generator.normal(); });
}

}  // namespace

int64_t fan_in(const Tensor& w) {
  check(w.rank() >= 2, "init", "fan_in needs a weight of two or more axes, got {}", w.shape());
  return w.numel() / std::max<int64_t>(w.size(0), 1);
}

void kaiming_normal(const Tensor& w, Generator& generator) { he_normal(w, fan_in(w), generator); }

void kaiming_normal_fan_out(const Tensor& w, Generator& generator) {
  check(w.rank() == 4, "init", "fan_out needs a convolution's weight (K, C, R, S), got {}", w.shape());
  he_normal(w, w.size(0) * w.size(2) * w.size(3), generator);
}

void kaiming_uniform(const Tensor& w, Generator& generator) {
  uniform(w, 1 / std::sqrt(static_cast<double>(fan_in(w))), generator);
}

void uniform(const Tensor& w, double bound, Generator& generator) {
  const float b = static_cast<float>(bound);
  fill(w, [&] { return generator.uniform(-b, b); });
}

// The authors write uniform_(-1, 1).renorm_(2, 1, 1e-5).mul_(1e5): renorm_ shortens every longer column to 1e-5 by the
// factor 1e-5 / (norm + 1e-7).
void unit_columns(const Tensor& w, Generator& generator) {
  check(w.rank() == 2, "init", "unit_columns needs a matrix, got {}", w.shape());
  const int64_t rows = w.size(0), columns = w.size(1);
  std::vector<float> values(w.numel());
  for (float& value : values) value = generator.uniform(-1, 1);
  for (int64_t c = 0; c < columns; ++c) {
    double squares = 0;
    for (int64_t r = 0; r < rows; ++r)
      squares += static_cast<double>(values[r * columns + c]) * values[r * columns + c];
    const float factor = static_cast<float>(1 / (std::sqrt(squares) + 1e-7));
    for (int64_t r = 0; r < rows; ++r) values[r * columns + c] *= factor;
  }
  copy_into(cast(Tensor::from(values, w.shape()), w.dtype()), w);
}

}  // namespace engine::init
