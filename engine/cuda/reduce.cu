// y = scale sum x over any axes, and the position of the largest element along one.
#include "engine/cuda/reduction.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/order.h"

namespace engine::cuda {
namespace {

template <class T>
using Sum = std::conditional_t<std::is_same_v<Compute<T>, double> || std::is_same_v<T, int64_t>, T, float>;

// Terms are W neighbours at once: W = 1, or dense sets of whole aligned vectors.
template <class T, int W>
struct SumOf {
  using State = Sum<T>;
  DeviceLoop<1> inner;
  Global<const T> x;
  Global<T> y;
  double scale;

  __device__ State start() const { return State(0); }
  __device__ State take(State s, int64_t base, int64_t t) const {
    if constexpr (W == 1) {
      return s + static_cast<State>(static_cast<Compute<T>>(x[base + inner.offsets(t).at[0]]));
    } else {
      const Vec<T, W> terms = load<W>(x, base + t * W);
      State sum = 0;
#pragma unroll
      for (int k = 0; k < W; ++k) sum += static_cast<State>(static_cast<Compute<T>>(terms.at[k]));
      return s + sum;
    }
  }
  __device__ State merge(State a, State b) const { return a + b; }
  __device__ void write(int64_t at, State s) const {
    y[at] =
        static_cast<T>(static_cast<Compute<T>>(scale == 1 ? s : static_cast<State>(static_cast<double>(s) * scale)));
  }
};

// Whether every set of terms begins at a multiple of `width` elements.
bool begin_at_multiples(const StridedLoop<2>& sets, int64_t width) {
  for (int axis = 0; axis < sets.shape.rank(); ++axis)
    if (sets.shape[axis] > 1 && sets.strides[0][axis] % width) return false;
  return true;
}

template <class T>
void sum_as(const Tensor& x, double scale, const Tensor& y, const StridedLoop<2>& sets, const StridedLoop<1>& inner) {
  constexpr int W = vector_width<T>;
  const int last = inner.shape.rank() - 1;
  const int64_t terms = inner.shape.numel(), step = inner.strides[0][last];
  const bool columns = terms <= 1 || std::abs(sets.strides[0][sets.shape.rank() - 1]) < std::abs(step);
  const bool dense =
      last == 0 && step == 1 && terms >= W && terms % W == 0 && aligned(x, W) && begin_at_multiples(sets, W);
  const DeviceLoop<2> outer = device_loop(sets);
  const DeviceLoop<1> loop = device_loop(inner);
  if (dense)
    reduce("sum", x.device(), outer, terms / W, false, SumOf<T, W>{loop, pointer<const T>(x), pointer<T>(y), scale});
  else
    reduce("sum", x.device(), outer, terms, columns, SumOf<T, 1>{loop, pointer<const T>(x), pointer<T>(y), scale});
}

void sum(const Tensor& x, double scale, const Tensor& y) {
  count_rows(x, 1, 1);
  const auto [sets, inner, terms] = plan_sum(x, y);
  if (x.dtype() == DType::i64) return sum_as<int64_t>(x, scale, y, sets, inner);
  dispatch_floating(x.dtype(), "sum",
                    [&](auto tag) { sum_as<typename decltype(tag)::type>(x, scale, y, sets, inner); });
}

// Of equal candidates the first wins.
template <class T>
struct ArgmaxOf {
  using C = Compute<T>;
  struct State {
    C value;
    int64_t position;  // -1: none yet
  };
  Global<const T> x;
  int64_t step;
  Global<int64_t> index;

  __device__ State start() const { return {C(0), -1}; }
  __device__ State take(State s, int64_t base, int64_t t) const {
    return merge(s, {static_cast<C>(x[base + t * step]), t});
  }
  __device__ State merge(State a, State b) const {
    if (a.position < 0 || b.position < 0) return a.position < 0 ? b : a;
    if (greater(a.value, b.value)) return a;
    return greater(b.value, a.value) || b.position < a.position ? b : a;
  }
  __device__ void write(int64_t at, State s) const { index[at] = s.position; }
};

void argmax(const Tensor& x, int axis, const Tensor& index) {
  const int64_t step = x.strides()[axis];
  const auto sets = plan_loop<2>(index.shape(), {x.strides().erased(axis), index.strides()});
  const bool columns = std::abs(sets.strides[0][sets.shape.rank() - 1]) < std::abs(step);
  dispatch_all(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    reduce("argmax", x.device(), device_loop(sets), x.shape()[axis], columns,
           ArgmaxOf<T>{pointer<const T>(x), step, pointer<int64_t>(index)});
  });
}

}  // namespace

void fill(ReduceKernels& table) {
  table.sum = sum;
  table.argmax = argmax;
}

}  // namespace engine::cuda
