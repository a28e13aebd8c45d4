#include "ride/losses/constant.h"

#include "engine/ops/shape_ops.h"

namespace ride {

using engine::Tensor;

Constant::Constant(const std::vector<double>& values)
    : values_(Tensor::from(values, {static_cast<int64_t>(values.size())})) {}

Tensor Constant::as(const Tensor& like) const {
  if (!last_.defined() || last_.dtype() != like.dtype() || last_.device() != like.device())
    last_ = engine::cast(values_, like.dtype()).to(like.device());
  return last_;
}

}  // namespace ride
