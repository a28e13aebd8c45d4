// Max pooling, and the table. Own kernels and not cuDNN's: pooling waits for memory alone, which they can use as well,
// and they run in the emulator, where the library's never would.
#include "engine/cuda/pool.h"

#include <limits>

#include "engine/cuda/pool_maps.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/pool_windows.h"

namespace engine::cuda {
namespace {

// y[p, q] = max over the window;  where = the winner's number in the window
template <class T, int W, class I>
__global__ void max_kernel(MapOrder order, PoolWindows windows, MapStrides xs, MapStrides ys, MapStrides ws,
                           Global<const T> x, Global<T> y, Global<I> where) {
  using S = Compute<T>;
  for (int64_t i = grid_index(); i < order.count; i += grid_step()) {
    const auto [n, c, p, q] = order.at(i);
    const PoolRange rows = windows.h.pixels_of(p), columns = windows.w.pixels_of(q);
    S best[W];
    Vec<I, W> winner;
#pragma unroll
    for (int k = 0; k < W; ++k) {
      best[k] = -std::numeric_limits<S>::infinity();
      winner.at[k] = static_cast<I>(windows.number(rows.begin, columns.begin, p, q));
    }
    for (int h = rows.begin; h < rows.end; ++h)
      for (int w = columns.begin; w < columns.end; ++w) {
        const auto v = load<W>(x, xs(n, c, h, w));
        const I number = static_cast<I>(windows.number(h, w, p, q));
#pragma unroll
        for (int k = 0; k < W; ++k)
          if (const S value = static_cast<S>(v.at[k]); functors::takes_over(value, best[k])) {
            best[k] = value;
            winner.at[k] = number;
          }
      }
    Vec<T, W> out;
#pragma unroll
    for (int k = 0; k < W; ++k) out.at[k] = static_cast<T>(best[k]);
    store<W>(y, ys(n, c, p, q), out);
    store<W>(where, ws(n, c, p, q), winner);
  }
}

// dx[h, w] = sum of dy[p, q] over the windows that (h, w) won: gathered, so that no two threads write to one place.
template <class T, int W, class I>
__global__ void max_backward_kernel(MapOrder order, PoolWindows windows, MapStrides dys, MapStrides ws, MapStrides dxs,
                                    Global<const T> dy, Global<const I> where, Global<T> dx) {
  using S = Compute<T>;
  for (int64_t i = grid_index(); i < order.count; i += grid_step()) {
    const auto [n, c, h, w] = order.at(i);
    const PoolRange rows = windows.h.windows_of(h), columns = windows.w.windows_of(w);
    S sum[W]{};
    for (int p = rows.begin; p < rows.end; ++p)
      for (int q = columns.begin; q < columns.end; ++q) {
        const auto winner = load<W>(where, ws(n, c, p, q));
        const auto g = load<W>(dy, dys(n, c, p, q));
        const I number = static_cast<I>(windows.number(h, w, p, q));
#pragma unroll
        for (int k = 0; k < W; ++k)
          if (winner.at[k] == number) sum[k] += static_cast<S>(g.at[k]);
      }
    Vec<T, W> out;
#pragma unroll
    for (int k = 0; k < W; ++k) out.at[k] = static_cast<T>(sum[k]);
    store<W>(dx, dxs(n, c, h, w), out);
  }
}

// The winners of windows of up to 256 pixels are kept in bytes. Larger ones are rare: no vectors for them.
template <class T, class F, class... Tensors>
void with_winners(const Tensor& where, F&& f, const Tensors&... tensors) {
  if (where.dtype() == DType::u8)
    with_channel_vectors<T>([&](auto width) { f(width, TypeTag<uint8_t>{}); }, where, tensors...);
  else
    f(std::integral_constant<int, 1>{}, TypeTag<int64_t>{});
}

void max(const Tensor& x, const Pool2dOptions& options, const Tensor& y, Tensor& where) {
  where = empty_like(y, options.kernel.h * options.kernel.w <= 256 ? DType::u8 : DType::i64);
  if (y.numel() == 0) return;
  Context& c = context(x.device().index);
  count_passed(x, y);
  const PoolWindows windows = pool_windows(x.shape(), y.shape(), options);
  dispatch_floating(x.dtype(), "max_pool2d", [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_winners<T>(
        where,
        [&](auto width, auto index) {
          constexpr int W = width;
          using I = typename decltype(index)::type;
          const MapOrder order = map_order(y, W);
          launch("max_pool2d", c, cover_device(c, order.count), max_kernel<T, W, I>, order, windows, map_strides(x, W),
                 map_strides(y, W), map_strides(where, W), pointer<const T>(x), pointer<T>(y), pointer<I>(where));
        },
        x, y);
  });
}

void max_backward(const Tensor& dy, const Tensor& where, const Pool2dOptions& options, const Tensor& dx) {
  if (dx.numel() == 0) return;
  Context& c = context(dx.device().index);
  count_passed(dy, dx);
  const PoolWindows windows = pool_windows(dx.shape(), dy.shape(), options);
  dispatch_floating(dx.dtype(), "max_pool2d backward", [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_winners<T>(
        where,
        [&](auto width, auto index) {
          constexpr int W = width;
          using I = typename decltype(index)::type;
          const MapOrder order = map_order(dx, W);
          launch("max_pool2d backward", c, cover_device(c, order.count), max_backward_kernel<T, W, I>, order, windows,
                 map_strides(dy, W), map_strides(where, W), map_strides(dx, W), pointer<const T>(dy),
                 pointer<const I>(where), pointer<T>(dx));
        },
        dy, dx);
  });
}

}  // namespace

void fill(PoolKernels& table) {
  table.max = max;
  table.max_backward = max_backward;
  table.average = average_pool;
  table.average_backward = average_pool_backward;
  table.global_average = global_average_pool;
  table.global_average_backward = global_average_pool_backward;
  table.subsample = subsample;
  table.subsample_backward = subsample_backward;
}

}  // namespace engine::cuda
