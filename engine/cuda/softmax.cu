// Over the last axis, a row at a time: y = e^(x - top) / sum e^(x - top), or its logarithm, and their gradients. A warp
// takes a row; a block one that is long. A row is read several times, from the second on out of a cache.
#include <algorithm>
#include <limits>

#include "engine/cuda/launch.h"
#include "engine/cuda/table.h"
#include "engine/cuda/team.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

constexpr int most_threads = 512;  // with more, exponentials in f64 would not find enough registers

template <bool whole_block, class T>
__global__ void __launch_bounds__(most_threads)
    softmax_kernel(int64_t rows, int64_t n, bool log, Global<const T> x, Global<T> y) {
  using C = Compute<T>;
  using Row = Team<whole_block>;
  for (int64_t row = Row::row(); row < rows; row += Row::rows()) {
    const int64_t begin = row * n + Row::member(), end = row * n + n;
    C top = -std::numeric_limits<C>::infinity();
    for (int64_t i = begin; i < end; i += Row::size()) top = Max{}(top, static_cast<C>(x[i]));
    top = Row::combine(top, Max{});
    C total = 0;
    for (int64_t i = begin; i < end; i += Row::size()) total += std::exp(static_cast<C>(x[i]) - top);
    total = Row::combine(total, Add{});
    const C shift = top + std::log(total), scale = C(1) / total;
    for (int64_t i = begin; i < end; i += Row::size()) {
      const C value = static_cast<C>(x[i]);
      y[i] = static_cast<T>(log ? value - shift : std::exp(value - top) * scale);
    }
  }
}

// softmax: dx = y (dy - sum y dy);  its logarithm: dx = dy - e^y sum dy
template <bool whole_block, class T>
__global__ void __launch_bounds__(most_threads)
    softmax_backward_kernel(int64_t rows, int64_t n, bool log, Global<const T> y, Global<const T> dy, Global<T> dx) {
  using C = Compute<T>;
  using Row = Team<whole_block>;
  for (int64_t row = Row::row(); row < rows; row += Row::rows()) {
    const int64_t begin = row * n + Row::member(), end = row * n + n;
    C total = 0;
    for (int64_t i = begin; i < end; i += Row::size())
      total += log ? static_cast<C>(dy[i]) : static_cast<C>(dy[i]) * static_cast<C>(y[i]);
    total = Row::combine(total, Add{});
    for (int64_t i = begin; i < end; i += Row::size()) {
      const C p = static_cast<C>(y[i]), d = static_cast<C>(dy[i]);
      dx[i] = static_cast<T>(log ? d - std::exp(p) * total : p * (d - total));
    }
  }
}

struct Rows {
  int64_t count, length;
  bool whole_block;
  LaunchShape shape;
};

Rows rows_of(const Tensor& x) {
  const int64_t n = x.rank() ? x.size(-1) : 1, count = n ? x.numel() / n : 0;
  if (n > 1024) {
    LaunchShape shape = block_per_row(count, n);
    shape.threads_x = std::min(shape.threads_x, most_threads);
    return {count, n, true, shape};
  }
  constexpr int warps = Team<false>::warps;
  return {count,
          n,
          false,
          {.blocks_x = std::clamp<int64_t>((count + warps - 1) / warps, 1, most_blocks), .threads_x = warps * 32}};
}

void softmax(const Tensor& x, bool log, const Tensor& y) {
  const Rows rows = rows_of(x);
  if (rows.count == 0) return;
  count_rows(x, 2, 4);  // maximum, difference, sum, quotient; the exponential is not counted
  dispatch_floating(x.dtype(), "softmax", [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("softmax", context(x.device().index), rows.shape,
           rows.whole_block ? softmax_kernel<true, T> : softmax_kernel<false, T>, rows.count, rows.length, log,
           pointer<const T>(x), pointer<T>(y));
  });
}

void softmax_backward(const Tensor& y, const Tensor& dy, bool log, const Tensor& dx) {
  const Rows rows = rows_of(y);
  if (rows.count == 0) return;
  count_rows(y, 3, 4);
  dispatch_floating(y.dtype(), "softmax", [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("softmax backward", context(y.device().index), rows.shape,
           rows.whole_block ? softmax_backward_kernel<true, T> : softmax_backward_kernel<false, T>, rows.count,
           rows.length, log, pointer<const T>(y), pointer<const T>(dy), pointer<T>(dx));
  });
}

}  // namespace

void fill_softmax(ReduceKernels& table) {
  table.softmax = softmax;
  table.softmax_backward = softmax_backward;
}

}  // namespace engine::cuda
