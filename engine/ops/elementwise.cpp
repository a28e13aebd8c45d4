#include "engine/ops/elementwise.h"

#include "engine/core/profile.h"
#include "engine/core/random.h"
#include "engine/kernels/select.h"
#include "engine/ops/precision.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

// What the derivative of f is a function of, besides dy.
enum class DerivativeOf { x, y, neither };
DerivativeOf derivative_of(UnaryOp op) {
  switch (op) {
    case UnaryOp::relu:
    case UnaryOp::sigmoid:
    case UnaryOp::tanh:
    case UnaryOp::exp:
    case UnaryOp::sqrt: return DerivativeOf::y;
    case UnaryOp::affine: return DerivativeOf::neither;
    default: return DerivativeOf::x;
  }
}

// Whether f takes small differences of x to large ones of y, or out of 16 bits' reach.
bool wants_full_precision(UnaryOp op) {
  return op == UnaryOp::exp || op == UnaryOp::log || op == UnaryOp::pow || op == UnaryOp::softplus;
}

// y = f(x), dx = dy f'(x). Keeps x or y, whichever f' needs; the kernel is given it in both places.
Tensor unary(const char* name, const Tensor& input, Unary f) {
  profile::Scope scope(name);
  const Tensor x = wants_full_precision(f.op) ? full_precision(input) : input;
  check(is_floating(x.dtype()), name, "only defined for floating point types, got {}: cast first",
        engine::name(x.dtype()));
  Tensor y = empty_like(x);
  kernels(x).elementwise.unary(f, x, y);
  Tensor kept;
  switch (derivative_of(f.op)) {
    case DerivativeOf::x: kept = x.detach(); break;
    case DerivativeOf::y: kept = y.detach(); break;
    case DerivativeOf::neither: break;
  }
  return record(name, y, {x}, [f, kept](const Tensor& dy, Needs) -> Gradients {
    const Tensor& seen = kept.defined() ? kept : dy;
    Tensor dx = empty_like(seen);
    kernels(dy).elementwise.unary_backward(f, seen, seen, dy, dx);
    return {dx};
  });
}

void check_pair(const char* name, const Tensor& a, const Tensor& b) {
  check(a.dtype() == b.dtype(), name, "dtypes differ: {} and {}; cast one", engine::name(a.dtype()),
        engine::name(b.dtype()));
  check(a.device() == b.device(), name, "tensors live on {} and {}", engine::name(a.device()),
        engine::name(b.device()));
}

// The result of a broadcast pair keeps the layout of the operand that has its shape already.
Tensor broadcast_result(const Tensor& a, const Tensor& b, const Shape& shape, DType dtype) {
  if (a.shape() == shape) return empty_like(a, dtype);
  if (b.shape() == shape) return empty_like(b, dtype);
  return Tensor::empty(shape, {.dtype = dtype, .device = a.device()});
}

Tensor as_shape(const Tensor& x, const Shape& shape) { return x.shape() == shape ? x : expand_to(x.detach(), shape); }

Tensor binary(const char* name, const Tensor& a, const Tensor& b, BinaryOp op) {
  profile::Scope scope(name);
  check_pair(name, a, b);
  const Shape shape = broadcast(a.shape(), b.shape(), name);
  Tensor y = broadcast_result(a, b, shape, a.dtype());
  kernels(a).elementwise.binary(op, as_shape(a, shape), as_shape(b, shape), y);
  return y;
}

Tensor compare(const char* name, const Tensor& a, const Tensor& b, CompareOp op) {
  profile::Scope scope(name);
  check_pair(name, a, b);
  const Shape shape = broadcast(a.shape(), b.shape(), name);
  Tensor y = broadcast_result(a, b, shape, DType::boolean);
  kernels(a).elementwise.compare(op, as_shape(a, shape), as_shape(b, shape), y);
  return y;
}

}  // namespace

Tensor relu(const Tensor& x) { return unary("relu", x, {UnaryOp::relu}); }
Tensor sigmoid(const Tensor& x) { return unary("sigmoid", x, {UnaryOp::sigmoid}); }
Tensor tanh(const Tensor& x) { return unary("tanh", x, {UnaryOp::tanh}); }
Tensor exp(const Tensor& x) { return unary("exp", x, {UnaryOp::exp}); }
Tensor log(const Tensor& x) { return unary("log", x, {UnaryOp::log}); }
Tensor sqrt(const Tensor& x) { return unary("sqrt", x, {UnaryOp::sqrt}); }
Tensor abs(const Tensor& x) { return unary("abs", x, {UnaryOp::abs}); }
Tensor softplus(const Tensor& x) { return unary("softplus", x, {UnaryOp::softplus}); }
Tensor pow(const Tensor& x, double exponent) { return unary("pow", x, {UnaryOp::pow, exponent}); }
Tensor clamp(const Tensor& x, ClampOptions bounds) {
  return unary("clamp", x, {UnaryOp::clamp, bounds.min, bounds.max});
}
Tensor affine(const Tensor& x, AffineOptions options) {
  return unary("affine", x, {UnaryOp::affine, options.scale, options.shift});
}

Tensor operator+(const Tensor& a, const Tensor& b) {
  return record("add", binary("add", a, b, BinaryOp::add), {a, b},
                [sa = a.shape(), sb = b.shape()](const Tensor& dy, Needs needs) -> Gradients {
                  return {needs[0] ? sum_to(dy, sa) : none, needs[1] ? sum_to(dy, sb) : none};
                });
}

Tensor operator-(const Tensor& a, const Tensor& b) {
  return record("sub", binary("sub", a, b, BinaryOp::sub), {a, b},
                [sa = a.shape(), sb = b.shape()](const Tensor& dy, Needs needs) -> Gradients {
                  return {needs[0] ? sum_to(dy, sa) : none, needs[1] ? sum_to(-dy, sb) : none};
                });
}

Tensor operator*(const Tensor& a, const Tensor& b) {
  return record("mul", binary("mul", a, b, BinaryOp::mul), {a, b},
                [a = a.detach(), b = b.detach()](const Tensor& dy, Needs needs) -> Gradients {
                  return {needs[0] ? sum_to(dy * b, a.shape()) : none, needs[1] ? sum_to(dy * a, b.shape()) : none};
                });
}

// d(a/b) = da / b - a db / b^2
Tensor operator/(const Tensor& a, const Tensor& b) {
  return record(
      "div", binary("div", a, b, BinaryOp::div), {a, b},
      [a = a.detach(), b = b.detach()](const Tensor& dy, Needs needs) -> Gradients {
        return {needs[0] ? sum_to(dy / b, a.shape()) : none, needs[1] ? sum_to(-(dy * a) / (b * b), b.shape()) : none};
      });
}

Tensor equal(const Tensor& a, const Tensor& b) { return compare("equal", a, b, CompareOp::equal); }
Tensor less(const Tensor& a, const Tensor& b) { return compare("less", a, b, CompareOp::less); }
Tensor less_equal(const Tensor& a, const Tensor& b) { return compare("less_equal", a, b, CompareOp::less_equal); }

// y = c ? a : b, so da = c ? dy : 0 and db = c ? 0 : dy.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  profile::Scope scope("where");
  check(condition.dtype() == DType::boolean, "where", "the condition must be bool, got {}", name(condition.dtype()));
  check_pair("where", a, b);
  const Shape shape = broadcast(broadcast(a.shape(), b.shape(), "where"), condition.shape(), "where");
  Tensor y = broadcast_result(a, b, shape, a.dtype());
  const Tensor c = as_shape(condition, shape);
  kernels(a).elementwise.where(c, as_shape(a, shape), as_shape(b, shape), y);
  return record("where", y, {a, b}, [c, sa = a.shape(), sb = b.shape()](const Tensor& dy, Needs needs) -> Gradients {
    const Tensor zero = expand_to(Tensor::zeros({}, {.dtype = dy.dtype(), .device = dy.device()}), dy.shape());
    return {needs[0] ? sum_to(where(c, dy, zero), sa) : none, needs[1] ? sum_to(where(c, zero, dy), sb) : none};
  });
}

void add_in_place(const Tensor& a, const Tensor& b) {
  check_pair("add_in_place", a, b);
  kernels(a).elementwise.binary(BinaryOp::add, a, as_shape(b, a.shape()), a);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int lead = x.rank() - shape.rank();
  std::vector<int> axes;
  for (int i = 0; i < x.rank(); ++i)
    if (i < lead || (shape[i - lead] == 1 && x.shape()[i] != 1)) axes.push_back(i);
  return reshape(sum(x, {.axes = axes, .keep = true}), shape);
}

// y = x m / (1 - p), m ~ Bernoulli(1 - p). The mask is not kept: its Philox key makes it again, so dx = dy m / (1 - p).
Tensor dropout(const Tensor& x, DropoutOptions options) {
  check(options.p >= 0 && options.p < 1, "dropout", "p must lie in [0, 1), got {}", options.p);
  if (!options.training || options.p == 0) return x;
  profile::Scope scope("dropout");
  const Generator::State mask = default_generator().take(2);
  Tensor y = empty_like(x);
  kernels(x).elementwise.dropout(x, options.p, mask, y);
  return record("dropout", y, {x}, [p = options.p, mask](const Tensor& dy, Needs) -> Gradients {
    Tensor dx = empty_like(dy);
    kernels(dy).elementwise.dropout(dy, p, mask, dx);
    return {dx};
  });
}

}  // namespace engine
