// Average pooling over windows and over whole maps.
#include "engine/cuda/columns.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/pool.h"
#include "engine/cuda/pool_maps.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/pool_windows.h"

namespace engine::cuda {
namespace {

// y[p, q] = sum over the window / divisor
template <class T, int W>
__global__ void average_kernel(MapOrder order, PoolWindows windows, MapStrides xs, MapStrides ys, Global<const T> x,
                               Global<T> y) {
  using S = Compute<T>;
  for (int64_t i = grid_index(); i < order.count; i += grid_step()) {
    const auto [n, c, p, q] = order.at(i);
    const PoolRange rows = windows.h.pixels_of(p), columns = windows.w.pixels_of(q);
    S sum[W]{};
    for (int h = rows.begin; h < rows.end; ++h)
      for (int w = columns.begin; w < columns.end; ++w) {
        const auto v = load<W>(x, xs(n, c, h, w));
#pragma unroll
        for (int k = 0; k < W; ++k) sum[k] += static_cast<S>(v.at[k]);
      }
    const S divisor = static_cast<S>(windows.divisor(p, q));
    Vec<T, W> out;
#pragma unroll
    for (int k = 0; k < W; ++k) out.at[k] = static_cast<T>(sum[k] / divisor);
    store<W>(y, ys(n, c, p, q), out);
  }
}

// dx[h, w] = sum of dy[p, q] / divisor over the windows that hold (h, w)
template <class T, int W>
__global__ void average_backward_kernel(MapOrder order, PoolWindows windows, MapStrides dys, MapStrides dxs,
                                        Global<const T> dy, Global<T> dx) {
  using S = Compute<T>;
  for (int64_t i = grid_index(); i < order.count; i += grid_step()) {
    const auto [n, c, h, w] = order.at(i);
    const PoolRange rows = windows.h.windows_of(h), columns = windows.w.windows_of(w);
    S sum[W]{};
    for (int p = rows.begin; p < rows.end; ++p)
      for (int q = columns.begin; q < columns.end; ++q) {
        const auto g = load<W>(dy, dys(n, c, p, q));
        const S divisor = static_cast<S>(windows.divisor(p, q));
#pragma unroll
        for (int k = 0; k < W; ++k) sum[k] += static_cast<S>(g.at[k]) / divisor;
      }
    Vec<T, W> out;
#pragma unroll
    for (int k = 0; k < W; ++k) out.at[k] = static_cast<T>(sum[k]);
    store<W>(dx, dxs(n, c, h, w), out);
  }
}

template <class S, int W>
struct MapSums {
  S at[W]{};
  __device__ void add(const MapSums& other) {
#pragma unroll
    for (int k = 0; k < W; ++k) at[k] += other.at[k];
  }
};

// y[n, c] = sum over pixels of x[n, pixel, c] / pixels: a block for some channels of an image, as columns.h has them.
template <class T, int W>
__global__ void __launch_bounds__(column_threads)
    mean_of_rows_kernel(Columns g, int64_t groups, Global<const T> x, Global<T> y) {
  using S = Compute<T>;
  ENGINE_SHARED(S, shared, column_threads / 2 * W);
  const int64_t n = blockIdx.x / groups, group = blockIdx.x - n * groups;
  const int row = static_cast<int>(threadIdx.x) / g.block_columns;
  const int64_t column = group * g.block_columns + (static_cast<int>(threadIdx.x) - row * g.block_columns);
  MapSums<S, W> sums;
  if (row < g.block_rows && column < g.columns) {
#pragma unroll 4
    for (int64_t pixel = row; pixel < g.rows; pixel += g.block_rows) {
      const auto v = load<W>(x, ((n * g.rows + pixel) * g.columns + column) * W);
#pragma unroll
      for (int k = 0; k < W; ++k) sums.at[k] += static_cast<S>(v.at[k]);
    }
  }
  add_rows<S>(sums, g.block_rows, g.block_columns, shared);
  if (row != 0 || column >= g.columns) return;
  Vec<T, W> out;
#pragma unroll
  for (int k = 0; k < W; ++k) out.at[k] = static_cast<T>(sums.at[k] / static_cast<S>(g.rows));
  store<W>(y, (n * g.columns + column) * W, out);
}

// y[plane] = sum over pixels of x[plane, pixel] / pixels: a warp for each plane.
template <class T, int W>
__global__ void mean_of_planes_kernel(int64_t planes, int64_t pixels, Global<const T> x, Global<T> y) {
  using S = Compute<T>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int64_t plane = grid_index() / 32; plane < planes; plane += grid_step() / 32) {
    S sum{};
#pragma unroll 4
    for (int64_t i = lane; i < pixels / W; i += 32) {
      const auto v = load<W>(x, plane * pixels + i * W);
#pragma unroll
      for (int k = 0; k < W; ++k) sum += static_cast<S>(v.at[k]);
    }
#pragma unroll
    for (int step = 16; step; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
    if (lane == 0) y[plane] = static_cast<T>(sum / static_cast<S>(pixels));
  }
}

// (N, C) as the pooled maps (N, C, 1, 1) that it is.
Tensor as_maps(const Tensor& y) { return y.as_strided({y.size(0), y.size(1), 1, 1}, {y.size(1), 1, 1, 1}); }

Pool2dOptions whole_map(const Tensor& x) {
  return {.kernel = {x.size(2), x.size(3)}, .stride = {x.size(2), x.size(3)}};
}

}  // namespace

void average_pool(const Tensor& x, const Pool2dOptions& options, const Tensor& y) {
  if (y.numel() == 0) return;
  Context& c = context(x.device().index);
  count_passed(x, y);
  const PoolWindows windows = pool_windows(x.shape(), y.shape(), options);
  dispatch_floating(x.dtype(), "avg_pool2d", [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_channel_vectors<T>(
        [&](auto width) {
          constexpr int W = width;
          const MapOrder order = map_order(y, W);
          launch("avg_pool2d", c, cover_device(c, order.count), average_kernel<T, W>, order, windows, map_strides(x, W),
                 map_strides(y, W), pointer<const T>(x), pointer<T>(y));
        },
        x, y);
  });
}

void average_pool_backward(const Tensor& dy, const Pool2dOptions& options, const Tensor& dx) {
  if (dx.numel() == 0) return;
  Context& c = context(dx.device().index);
  count_passed(dy, dx);
  const PoolWindows windows = pool_windows(dx.shape(), dy.shape(), options);
  dispatch_floating(dx.dtype(), "avg_pool2d backward", [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_channel_vectors<T>(
        [&](auto width) {
          constexpr int W = width;
          const MapOrder order = map_order(dx, W);
          launch("avg_pool2d backward", c, cover_device(c, order.count), average_backward_kernel<T, W>, order, windows,
                 map_strides(dy, W), map_strides(dx, W), pointer<const T>(dy), pointer<T>(dx));
        },
        dy, dx);
  });
}

void global_average_pool(const Tensor& x_any, const Tensor& y) {
  if (y.numel() == 0) return;
  const Tensor x = dense(x_any, x_any.format());
  count_passed(x, y);
  const ChannelLayout l = channel_layout(x);
  const int64_t images = x.size(0), pixels = x.size(2) * x.size(3);
  Context& c = context(x.device().index);
  dispatch_floating(x.dtype(), "global_avg_pool2d", [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_vectors<T>(
        l,
        [&](auto width, auto) {
          constexpr int W = width;
          if (l.inner > 1) {
            launch("global_avg_pool2d", c, cover_device(c, y.numel() * 32), mean_of_planes_kernel<T, W>, y.numel(),
                   pixels, pointer<const T>(x), pointer<T>(y));
          } else {
            ColumnPlan plan = plan_columns({pixels, l.channels, 1}, W, true, {.vector_bytes = W * int{sizeof(T)}});
            const int64_t groups = plan.launch.blocks_x;
            plan.launch.blocks_x *= images;
            launch("global_avg_pool2d", c, plan.launch, mean_of_rows_kernel<T, W>, plan.columns, groups,
                   pointer<const T>(x), pointer<T>(y));
          }
        },
        x, y);
  });
}

void global_average_pool_backward(const Tensor& dy, const Tensor& dx) {
  average_pool_backward(as_maps(dense(dy, MemoryFormat::contiguous)), whole_map(dx), dx);
}

}  // namespace engine::cuda
