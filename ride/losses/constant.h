// Values that a loss keeps, in the type and on the device of the logits it meets.
#pragma once
#include <vector>

#include "engine/core/tensor.h"

namespace ride {

class Constant {
 public:
  Constant() = default;  // no values
  explicit Constant(const std::vector<double>& values);

  int64_t size() const { return values_.size(0); }
  // (size) in the type and on the device of `like`; kept until another is asked for. For one thread at a time.
  engine::Tensor as(const engine::Tensor& like) const;

 private:
  engine::Tensor values_;  // (size) f64 on the CPU
  mutable engine::Tensor last_;
};

}  // namespace ride
