#include "engine/ops/matmul.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/precision.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

Tensor product(const Tensor& a, const Tensor& b, const Tensor& bias, DType dtype) {
  Shape shape = a.shape();
  shape[shape.rank() - 1] = b.size(-1);
  Tensor y = Tensor::empty(shape, {.dtype = dtype, .device = a.device()});
  kernels(a).matmul.matmul(a, b, bias, y);
  return y;
}

void check_matmul(const char* op, const Tensor& a, const Tensor& b) {
  check((a.rank() == 2 || a.rank() == 3) && a.rank() == b.rank(), op,
        "needs two matrices or two batches of them, got {} and {}", a.shape(), b.shape());
  check(weight_fits(a.dtype(), b.dtype()), op, "dtypes differ: {} and {}; cast one", name(a.dtype()), name(b.dtype()));
  check(a.size(-1) == b.size(-2) && (a.rank() == 2 || a.size(0) == b.size(0)), op, "shapes {} and {} don't fit",
        a.shape(), b.shape());
}

Tensor t(const Tensor& x) { return transpose(x, -1, -2); }

}  // namespace

// y = a b      da = dy b^T      db = a^T dy            y has a's type; each gradient has the type of its own tensor
Tensor matmul(const Tensor& left, const Tensor& b) {
  profile::Scope scope("matmul");
  const Tensor a = autocast_input(left);
  check_matmul("matmul", a, b);
  return record("matmul", product(a, b, none, a.dtype()), {a, b},
                [a = a.detach(), b = b.detach()](const Tensor& dy, Needs needs) -> Gradients {
                  return {needs[0] ? product(dy, t(b), none, a.dtype()) : none,
                          needs[1] ? product(t(a), dy, none, b.dtype()) : none};
                });
}

// y = x w^T + b      dx = dy w      dw = dy^T x      db = dy summed over n
Tensor linear(const Tensor& input, const Tensor& w, const Tensor& b) {
  profile::Scope scope("linear");
  const Tensor x = autocast_input(input);
  check(x.rank() == 2 && w.rank() == 2 && x.size(1) == w.size(1), "linear",
        "weight {} expects {} features, input is {}", w.shape(), w.size(-1), x.shape());
  if (b.defined()) {
    check(b.shape() == Shape{w.size(0)}, "linear", "weight {} needs a bias of ({},), got {}", w.shape(), w.size(0),
          b.shape());
    check(b.dtype() == w.dtype(), "linear", "weight is {}, bias is {}: cast one", name(w.dtype()), name(b.dtype()));
  }
  check_matmul("linear", x, t(w.detach()));
  Tensor y = product(x, t(w.detach()), b, x.dtype());
  return record("linear", y, {x, w, b}, [x = x.detach(), w = w.detach()](const Tensor& dy, Needs needs) -> Gradients {
    return {needs[0] ? product(dy, w, none, x.dtype()) : none, needs[1] ? product(t(dy), x, none, w.dtype()) : none,
            needs[2] ? sum(cast(dy, w.dtype()), {.axes = {0}}) : none};
  });
}

}  // namespace engine
