#include "engine/ops/precision.h"

#include "engine/autograd/autocast.h"
#include "engine/ops/shape_ops.h"

namespace engine {

Tensor autocast_input(const Tensor& x) {
  return autocast_enabled() && x.dtype() == DType::f32 ? cast(x, autocast_dtype()) : x;
}

Tensor full_precision(const Tensor& x) { return autocast_enabled() && is_half(x.dtype()) ? cast(x, DType::f32) : x; }

bool weight_fits(DType x, DType w) { return x == w || (is_half(x) && w == DType::f32); }

}  // namespace engine
