#include "engine/cuda/dense.h"

#include "engine/core/profile.h"

namespace engine::cuda {

Tensor dense(const Tensor& x, MemoryFormat format) {
  if (!x.defined() || x.is_dense(format)) return x;
  profile::Scope scope(profile::enabled() ? conversion_name(x, x.dtype(), format) : std::string());
  Tensor y = Tensor::empty(x.shape(), {.dtype = x.dtype(), .device = x.device(), .format = format});
  copy(x, y);
  return y;
}

Tensor as_type(const Tensor& x, DType dtype) {
  if (!x.defined() || x.dtype() == dtype) return x;
  profile::Scope scope(profile::enabled() ? conversion_name(x, dtype, x.format()) : std::string());
  Tensor y = empty_like(x, dtype);
  copy(x, y);
  return y;
}

}  // namespace engine::cuda
