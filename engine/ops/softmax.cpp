#include "engine/ops/softmax.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/precision.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

// p_j = e^{x_j} / sum_k e^{x_k}:      dx = p (dy - sum_k p_k dy_k)
// l_j = x_j - log sum_k e^{x_k}:      dx = dy - e^l sum_k dy_k          both need only their own output
Tensor along_last(const char* name, const Tensor& x, bool log) {
  profile::Scope scope(name);
  const Tensor rows = contiguous(x);
  Tensor y = empty_like(rows);
  kernels(x).reduce.softmax(rows, log, y);
  return record(name, y, {rows}, [log, y = y.detach()](const Tensor& dy, Needs) -> Gradients {
    Tensor dx = empty_like(y);
    kernels(y).reduce.softmax_backward(y, contiguous(dy), log, dx);
    return {dx};
  });
}

Tensor along(const char* name, const Tensor& x, int axis, bool log) {
  const int at = x.shape().wrap_axis(axis, name);
  check(is_floating(x.dtype()), name, "only defined for floating point types, got {}: cast first",
        engine::name(x.dtype()));
  const Tensor wide = full_precision(x);
  if (at == x.rank() - 1) return along_last(name, wide, log);
  return transpose(along_last(name, transpose(wide, at, -1), log), at, -1);
}

}  // namespace

Tensor softmax(const Tensor& x, int axis) { return along("softmax", x, axis, false); }
Tensor log_softmax(const Tensor& x, int axis) { return along("log_softmax", x, axis, true); }

}  // namespace engine
