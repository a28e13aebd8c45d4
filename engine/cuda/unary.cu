// y = f(x) and dx = dy f'(x).
#include "engine/cuda/map.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/functors.h"

namespace engine::cuda {
namespace {

template <class T, class Function>
struct Forward {
  Function f;
  ENGINE_HD T operator()(T x) const { return static_cast<T>(f.forward(static_cast<Compute<T>>(x))); }
};

template <class T, class Function>
struct Backward {
  Function f;
  ENGINE_HD T operator()(T x, T y, T dy) const {
    return static_cast<T>(
        f.backward(static_cast<Compute<T>>(x), static_cast<Compute<T>>(y), static_cast<Compute<T>>(dy)));
  }
};

void unary(Unary u, const Tensor& x, const Tensor& y) {
  count_elementwise(y, 2);
  dispatch_floating(x.dtype(), "unary", [&](auto tag) {
    using T = typename decltype(tag)::type;
    functors::with_unary<Compute<T>>(u, [&](auto f) { map<T, T>("unary", Forward<T, decltype(f)>{f}, y, x); });
  });
}

void unary_backward(Unary u, const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  count_elementwise(dx, 4);
  dispatch_floating(x.dtype(), "unary backward", [&](auto tag) {
    using T = typename decltype(tag)::type;
    functors::with_unary<Compute<T>>(
        u, [&](auto f) { map<T, T, T, T>("unary backward", Backward<T, decltype(f)>{f}, dx, x, y, dy); });
  });
}

}  // namespace

void fill_unary(ElementwiseKernels& table) {
  table.unary = unary;
  table.unary_backward = unary_backward;
}

}  // namespace engine::cuda
