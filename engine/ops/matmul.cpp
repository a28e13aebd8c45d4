#include "engine/ops/matmul.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

Tensor product(const Tensor& a, const Tensor& b, const Tensor& bias) {
  Shape shape = a.shape();
  shape[shape.rank() - 1] = b.size(-1);
  Tensor y = Tensor::empty(shape, {.dtype = a.dtype(), .device = a.device()});
  kernels(a).matmul.matmul(a, b, bias, y);
  return y;
}

void check_matmul(const char* op, const Tensor& a, const Tensor& b) {
  check((a.rank() == 2 || a.rank() == 3) && a.rank() == b.rank(), op,
        "needs two matrices or two batches of them, got {} and {}", a.shape(), b.shape());
  check(a.dtype() == b.dtype(), op, "dtypes differ: {} and {}; cast one", name(a.dtype()), name(b.dtype()));
  check(a.size(-1) == b.size(-2) && (a.rank() == 2 || a.size(0) == b.size(0)), op, "shapes {} and {} don't fit",
        a.shape(), b.shape());
}

Tensor t(const Tensor& x) { return transpose(x, -1, -2); }

}  // namespace

// y = a b      da = dy b^T      db = a^T dy
Tensor matmul(const Tensor& a, const Tensor& b) {
  profile::Scope scope("matmul");
  check_matmul("matmul", a, b);
  return record("matmul", product(a, b, none), {a, b},
                [a = a.detach(), b = b.detach()](const Tensor& dy, Needs needs) -> Gradients {
                  return {needs[0] ? product(dy, t(b), none) : none, needs[1] ? product(t(a), dy, none) : none};
                });
}

// y = x w^T + b      dx = dy w      dw = dy^T x      db = dy summed over n
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b) {
  profile::Scope scope("linear");
  check(x.rank() == 2 && w.rank() == 2 && x.size(1) == w.size(1), "linear",
        "weight {} expects {} features, input is {}", w.shape(), w.size(-1), x.shape());
  if (b.defined()) {
    check(b.shape() == Shape{w.size(0)}, "linear", "weight {} needs a bias of ({},), got {}", w.shape(), w.size(0),
          b.shape());
    check(b.dtype() == x.dtype(), "linear", "input is {}, bias is {}: cast one", name(x.dtype()), name(b.dtype()));
  }
  check_matmul("linear", x, t(w.detach()));
  Tensor y = product(x, t(w.detach()), b);
  return record("linear", y, {x, w, b}, [x = x.detach(), w = w.detach()](const Tensor& dy, Needs needs) -> Gradients {
    return {needs[0] ? product(dy, w, none) : none, needs[1] ? product(t(dy), x, none) : none,
            needs[2] ? sum(dy, {.axes = {0}}) : none};
  });
}

}  // namespace engine
