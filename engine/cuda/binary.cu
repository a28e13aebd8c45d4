// y = a op b, comparisons, and a choice between a and b.
#include "engine/cuda/map.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/functors.h"

namespace engine::cuda {
namespace {

// f in the type that T is computed in.
template <class R, class T, class Function>
struct Wide {
  Function f;
  ENGINE_HD R operator()(T a, T b) const {
    return static_cast<R>(f(static_cast<Compute<T>>(a), static_cast<Compute<T>>(b)));
  }
};

template <class R, class T, class Function>
void map_pairs(const char* op, Function f, const Tensor& a, const Tensor& b, const Tensor& y) {
  map<R, T, T>(op, Wide<R, T, Function>{f}, y, a, b);
}

template <class T>
void arithmetic(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& y) {
  using C = Compute<T>;
  switch (op) {
    case BinaryOp::add: return map_pairs<T, T>("add", functors::Add<C>{}, a, b, y);
    case BinaryOp::sub: return map_pairs<T, T>("sub", functors::Sub<C>{}, a, b, y);
    case BinaryOp::mul: return map_pairs<T, T>("mul", functors::Mul<C>{}, a, b, y);
    case BinaryOp::div:
      if constexpr (std::is_integral_v<T>)
        fail("div", "not defined for i64: cast to a floating type first");
      else
        return map_pairs<T, T>("div", functors::Div<C>{}, a, b, y);
  }
}

void binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& y) {
  count_elementwise(y, 3);
  if (a.dtype() == DType::i64) return arithmetic<int64_t>(op, a, b, y);
  dispatch_floating(a.dtype(), "arithmetic", [&](auto tag) { arithmetic<typename decltype(tag)::type>(op, a, b, y); });
}

void compare(CompareOp op, const Tensor& a, const Tensor& b, const Tensor& y) {
  count_elementwise(a, 2);
  dispatch_all(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    switch (op) {
      case CompareOp::equal: return map_pairs<bool, T>("equal", functors::Equal<C>{}, a, b, y);
      case CompareOp::less: return map_pairs<bool, T>("less", functors::Less<C>{}, a, b, y);
      case CompareOp::less_equal: return map_pairs<bool, T>("less_equal", functors::LessEqual<C>{}, a, b, y);
    }
  });
}

template <class T>
struct Choice {
  ENGINE_HD T operator()(bool condition, T a, T b) const { return condition ? a : b; }
};

void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& y) {
  count_elementwise(y, 3);
  dispatch_all(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    map<T, bool, T, T>("where", Choice<T>{}, y, condition, a, b);
  });
}

}  // namespace

void fill_binary(ElementwiseKernels& table) {
  table.binary = binary;
  table.compare = compare;
  table.where = where;
}

}  // namespace engine::cuda
