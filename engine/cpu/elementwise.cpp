#include "engine/core/profile.h"
#include "engine/core/random.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/layout.h"
#include "engine/cpu/row_kernels.h"
#include "engine/cpu/strided.h"
#include "engine/cpu/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/functors.h"

namespace engine::cpu {
namespace {

// Operands of which some lie in batch_lanes, for the loops below: all are brought to y's format, and where that is
// batch_lanes itself the loops run over the groups as they lie in memory.
struct InFormatOf {
  const Tensor& y;
  bool lanes = y.is_dense(MemoryFormat::batch_lanes);
  Tensor operator()(const Tensor& x) const {
    const Tensor same = dense(x, y.format());
    return lanes ? same.groups() : same;
  }
  Tensor out() const { return lanes ? y.groups() : y; }
  // Functions of 0 needn't be 0, but images that don't exist are.
  void finish() const {
    if (lanes) lanes::clear_padding(y);
  }
};

void unary(Unary u, const Tensor& x, const Tensor& y) {
  if (lanes::any_in_lanes(x, y)) {
    const InFormatOf in{y};
    unary(u, in(x), in.out());
    return in.finish();
  }
  const auto loop = plan_loop_over(x, y);
  count_elementwise(y, 2);
  dispatch_floating(x.dtype(), "unary", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    functors::with_unary<C>(u, [&](auto f) {
      run_parallel(loop, [&](int64_t n, auto at, auto step) {
        if (step[0] == 1 && step[1] == 1)
          for (int64_t i = 0; i < n; ++i) py[at[1] + i] = static_cast<T>(f.forward(static_cast<C>(px[at[0] + i])));
        else
          for (int64_t i = 0; i < n; ++i)
            py[at[1] + i * step[1]] = static_cast<T>(f.forward(static_cast<C>(px[at[0] + i * step[0]])));
      });
    });
  });
}

void unary_backward(Unary u, const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  if (lanes::any_in_lanes(x, y, dy, dx)) {
    const InFormatOf in{dx};
    unary_backward(u, in(x), in(y), in(dy), in.out());
    return in.finish();
  }
  const auto loop = plan_loop_over(x, y, dy, dx);
  count_elementwise(dx, 4);
  dispatch_floating(x.dtype(), "unary_backward", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    const T *px = x.data<T>(), *py = y.data<T>(), *pdy = dy.data<T>();
    T* pdx = dx.data<T>();
    functors::with_unary<C>(u, [&](auto f) {
      run_parallel(loop, [&](int64_t n, auto at, auto step) {
        for (int64_t i = 0; i < n; ++i)
          pdx[at[3] + i * step[3]] = static_cast<T>(f.backward(static_cast<C>(px[at[0] + i * step[0]]),
                                                               static_cast<C>(py[at[1] + i * step[1]]),
                                                               static_cast<C>(pdy[at[2] + i * step[2]])));
      });
    });
  });
}

// y = f(a, b) where T is the element type of a and b and R that of y.
template <class T, class R, class F>
void map_pairs(const Tensor& a, const Tensor& b, const Tensor& y, F f) {
  const auto loop = plan_loop_over(a, b, y);
  using C = Compute<T>;
  const T *pa = a.data<T>(), *pb = b.data<T>();
  R* py = y.data<R>();
  run_parallel(loop, [&](int64_t n, auto at, auto step) {
    if (step[0] == 1 && step[1] == 1 && step[2] == 1)
      for (int64_t i = 0; i < n; ++i)
        py[at[2] + i] = static_cast<R>(f(static_cast<C>(pa[at[0] + i]), static_cast<C>(pb[at[1] + i])));
    else
      for (int64_t i = 0; i < n; ++i)
        py[at[2] + i * step[2]] =
            static_cast<R>(f(static_cast<C>(pa[at[0] + i * step[0]]), static_cast<C>(pb[at[1] + i * step[1]])));
  });
}

// Arithmetic is defined for floating types and i64.
template <class F>
void dispatch_arithmetic(DType dtype, F&& f) {
  if (dtype == DType::i64) return f(TypeTag<int64_t>{});
  dispatch_floating(dtype, "arithmetic", std::forward<F>(f));
}

// T: float, or the bits of a 16-bit type.
template <class T>
void add_dense(void (*add)(const T*, const T*, int64_t, T*), const Tensor& a, const Tensor& b, const Tensor& y) {
  const T *pa = reinterpret_cast<const T*>(a.raw()), *pb = reinterpret_cast<const T*>(b.raw());
  T* py = reinterpret_cast<T*>(y.raw());
  parallel_for(y.numel(), loop_grain, [&](int64_t i, int64_t end) { add(pa + i, pb + i, end - i, py + i); });
}

void binary(BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& y) {
  if (lanes::any_in_lanes(a, b, y)) {
    const InFormatOf in{y};
    binary(op, in(a), in(b), in.out());
    return in.finish();
  }
  count_elementwise(y, 3);
  const bool flat = a.is_dense(y.format()) && b.is_dense(y.format()) && y.is_dense(y.format());
  if (op == BinaryOp::add && flat && a.dtype() == DType::f32) return add_dense<float>(row_kernels().f32.add, a, b, y);
  if (op == BinaryOp::add && flat && a.dtype() == DType::bf16)
    return add_dense<uint16_t>(row_kernels().bf16.add, a, b, y);
  dispatch_arithmetic(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    switch (op) {
      case BinaryOp::add: return map_pairs<T, T>(a, b, y, functors::Add<C>{});
      case BinaryOp::sub: return map_pairs<T, T>(a, b, y, functors::Sub<C>{});
      case BinaryOp::mul: return map_pairs<T, T>(a, b, y, functors::Mul<C>{});
      case BinaryOp::div:
        if constexpr (std::is_integral_v<T>)
          fail("div", "not defined for i64: cast to a floating type first");
        else
          return map_pairs<T, T>(a, b, y, functors::Div<C>{});
    }
  });
}

void compare(CompareOp op, const Tensor& a, const Tensor& b, const Tensor& y) {
  if (lanes::any_in_lanes(a, b, y)) {
    const InFormatOf in{y};
    compare(op, in(a), in(b), in.out());
    return in.finish();
  }
  count_elementwise(a, 2);
  dispatch_all(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    switch (op) {
      case CompareOp::equal: return map_pairs<T, bool>(a, b, y, functors::Equal<C>{});
      case CompareOp::less: return map_pairs<T, bool>(a, b, y, functors::Less<C>{});
      case CompareOp::less_equal: return map_pairs<T, bool>(a, b, y, functors::LessEqual<C>{});
    }
  });
}

void where(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& y) {
  if (lanes::any_in_lanes(condition, a, b, y)) {
    const InFormatOf in{y};
    where(in(condition), in(a), in(b), in.out());
    return in.finish();
  }
  count_elementwise(y, 3);
  const auto loop = plan_loop_over(condition, a, b, y);
  const bool* pc = condition.data<bool>();
  dispatch_all(a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T *pa = a.data<T>(), *pb = b.data<T>();
    T* py = y.data<T>();
    run_parallel(loop, [&](int64_t n, auto at, auto step) {
      for (int64_t i = 0; i < n; ++i)
        py[at[3] + i * step[3]] = pc[at[0] + i * step[0]] ? pa[at[1] + i * step[1]] : pb[at[2] + i * step[2]];
    });
  });
}

// Masks are numbered in row-major order, so that they don't depend on the layout: four numbers to a Philox block.
void dropout(const Tensor& x, double p, const Generator::State& mask, const Tensor& y) {
  const Tensor source = dense(x, MemoryFormat::contiguous);
  const Tensor target = y.is_contiguous() ? y : Tensor::empty(y.shape(), {.dtype = y.dtype()});
  count_elementwise(y, 2);
  dispatch_floating(x.dtype(), "dropout", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    const T* from = source.data<T>();
    T* to = target.data<T>();
    const int64_t n = x.numel();
    const C scale = static_cast<C>(1 / (1 - p));
    const uint64_t stream = philox_pair(mask.seed, mask.stream, mask.position);
    parallel_for((n + 3) / 4, loop_grain / 4, [&](int64_t block, int64_t end) {
      for (; block < end; ++block) {
        const auto words = philox(mask.seed, stream, static_cast<uint64_t>(block));
        for (int64_t i = 4 * block; i < std::min(n, 4 * block + 4); ++i)
          to[i] =
              to_uniform(words[i % 4]) >= p ? static_cast<T>(static_cast<C>(from[i]) * scale) : static_cast<T>(C(0));
      }
    });
  });
  if (!y.is_contiguous()) copy(target, y);
}

}  // namespace

void copy(const Tensor& x, const Tensor& y) {
  if (lanes::any_in_lanes(x, y)) return lanes::copy(x, y);
  const auto loop = plan_loop_over(x, y);
  count_elementwise(y, 2);
  dispatch_all(x.dtype(), [&](auto from) {
    using S = typename decltype(from)::type;
    dispatch_all(y.dtype(), [&](auto to) {
      using T = typename decltype(to)::type;
      const S* px = x.data<S>();
      T* py = y.data<T>();
      run_parallel(loop, [&](int64_t n, auto at, auto step) {
        const S* source = px + at[0];
        T* target = py + at[1];
        if (std::is_same_v<S, T> && step[0] == 1 && step[1] == 1)
          std::copy_n(reinterpret_cast<const T*>(source), n, target);
        else
          for (int64_t i = 0; i < n; ++i)
            target[i * step[1]] = static_cast<T>(static_cast<Compute<S>>(source[i * step[0]]));
      });
    });
  });
}

Tensor dense(const Tensor& x, MemoryFormat format) {
  if (!x.defined() || x.is_dense(format)) return x;
  profile::Scope scope(profile::enabled() ? conversion_name(x, x.dtype(), format) : std::string());
  Tensor y = Tensor::empty(x.shape(), {.dtype = x.dtype(), .format = format});
  copy(x, y);
  return y;
}

Tensor dense(const Tensor& x) { return x.defined() ? dense(x, x.format()) : x; }

Tensor strided(const Tensor& x) { return lanes::any_in_lanes(x) ? dense(x, MemoryFormat::contiguous) : x; }

Tensor as_type(const Tensor& x, DType dtype) {
  if (!x.defined() || x.dtype() == dtype) return x;
  profile::Scope scope(profile::enabled() ? conversion_name(x, dtype, x.format()) : std::string());
  Tensor y = empty_like(x, dtype);
  copy(x, y);
  return y;
}

void fill(ElementwiseKernels& table) {
  table.unary = unary;
  table.unary_backward = unary_backward;
  table.binary = binary;
  table.compare = compare;
  table.where = where;
  table.copy = copy;
  table.dropout = dropout;
}

}  // namespace engine::cpu
