// Batch norm, forward: one launch for the statistics, one for what follows from them, one for the values.
#include "engine/cuda/norm.h"

#include "engine/cuda/columns.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/table.h"
#include "engine/kernels/batch_norm.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

__device__ unsigned statistics_arrived[most_counted_groups];

// The moments of a thread's rows. Its first row is the pivot: where that is an outlier, so is the spread that it
// spoils.
template <class T, int W>
__device__ functors::Moments<Compute<T>, W> moments_of(const Columns& g, const ColumnPart& part, Global<const T> x) {
  using S = Compute<T>;
  S count{}, pivot[W], sum[W]{}, squares[W]{};
  const auto first = load<W>(x, g.vector(part.row, part.column) * W);
#pragma unroll
  for (int w = 0; w < W; ++w) pivot[w] = static_cast<S>(first.at[w]);
#pragma unroll 4
  for (int64_t row = part.row; row < part.end; row += g.block_rows) {
    const auto v = load<W>(x, g.vector(row, part.column) * W);
    count += S(1);
#pragma unroll
    for (int w = 0; w < W; ++w) {
      const S d = static_cast<S>(v.at[w]) - pivot[w];
      sum[w] += d;
      squares[w] += d * d;
    }
  }
  return functors::Moments<S, W>::of(count, pivot, sum, squares);
}

// mean = sum x / n, variance = sum (x - mean)^2 / n. Every block leaves the mean and the sum of squares of its rows in
// `partial` (chunks, channels, 2); the last one puts these together.
template <class T, int W, bool inside>
__global__ void __launch_bounds__(column_threads)
    statistics_kernel(Columns g, Global<const T> x, Global<Compute<T>> partial, Global<Compute<T>> mean,
                      Global<Compute<T>> variance) {
  using S = Compute<T>;
  constexpr int L = channels_per_vector<W, inside>;
  using Found = functors::Moments<S, L>;
  ENGINE_SHARED(S, shared, column_threads / 2 * (sizeof(Found) / sizeof(S)));
  const ColumnPart part(g);
  const int64_t channels = g.columns * L;
  Found found;
  if (part.row < part.end) {
    if constexpr (L == W)
      found = moments_of<T, W>(g, part, x);
    else
      found = moments_of<T, W>(g, part, x).together();
  }
  add_rows<S>(found, g.block_rows, g.block_columns, shared);
  if (part.leads) {
#pragma unroll
    for (int l = 0; l < L; ++l)
      store<2>(partial, 2 * (blockIdx.y * channels + part.column * L + l), Vec<S, 2>{found.mean[l], found.squares[l]});
  }
  if (!last_of_group(statistics_arrived)) return;

  const auto values = [&](int64_t rows) { return static_cast<double>(rows * (W / L)); };
  const auto pivot = [&](int64_t c) { return static_cast<double>(partial[2 * c]); };
  add_chunks<L>(
      g,
      [&](int64_t k, int64_t c) {
        const auto p = load<2>(partial, 2 * (k * channels + c));
        const double n = values(g.rows_of_chunk(k)), d = static_cast<double>(p.at[0]) - pivot(c);
        return ColumnSums<double, 1>{{n * d}, {static_cast<double>(p.at[1]) + n * d * d}};
      },
      [&](int64_t c, const ColumnSums<double, 1>& sums) {
        const double n = values(g.rows), d = sums.first[0] / n, v = sums.second[0] / n - d * d;
        mean[c] = static_cast<S>(pivot(c) + d);
        variance[c] = static_cast<S>(v < 0 ? 0 : v);
      });
}

// A thread for each channel.
template <class T>
__global__ void update_kernel(int64_t channels, functors::UpdateStatistics<T> f, Global<const T> mean,
                              Global<const T> variance, Global<T> running_mean, Global<T> running_var,
                              Global<T> inv_std) {
  const int64_t c = grid_index();
  if (c >= channels) return;
  inv_std[c] = f.inv_std(variance[c]);
  running_mean[c] = f.running_mean(running_mean[c], mean[c]);
  running_var[c] = f.running_var(running_var[c], variance[c]);
}

// y = relu?((x - mean) inv_std weight + bias + residual?). Without the second launch bound ptxas spills registers to
// fit one more block.
template <class T, int W, bool inside>
__global__ void __launch_bounds__(column_threads, 2)
    normalize_kernel(Columns g, Global<const T> x, Global<const Compute<T>> mean, Global<const Compute<T>> inv_std,
                     Global<const Compute<T>> weight, Global<const Compute<T>> bias, Global<const T> residual,
                     bool relu, Global<T> y) {
  using S = Compute<T>;
  const ColumnPart part(g);
  if (part.row >= part.end) return;
  const auto m = load_channels<W, inside>(mean, part.column), s = load_channels<W, inside>(inv_std, part.column),
             a = load_channels<W, inside>(weight, part.column), b = load_channels<W, inside>(bias, part.column);
  for (int64_t row = part.row; row < part.end; row += g.block_rows) {
    const int64_t at = g.vector(row, part.column) * W;
    const auto in = load<W>(x, at);
    Vec<T, W> add{}, out;
    if (residual) add = load<W>(residual, at);
#pragma unroll
    for (int w = 0; w < W; ++w) {
      const functors::Normalize<S> f{m.at[w], s.at[w] * a.at[w], b.at[w], relu};
      out.at[w] = static_cast<T>(f(static_cast<S>(in.at[w]), static_cast<S>(add.at[w])));
    }
    store<W>(y, at, out);
  }
}

void statistics(const Tensor& x_any, const Tensor& mean, const Tensor& variance) {
  const Tensor x = dense(x_any, x_any.format());
  if (x.size(1) == 0) return;
  count_norm(x, 1);
  const ChannelLayout l = channel_layout(x);
  Context& c = context(x.device().index);
  dispatch_floating(x.dtype(), "batch_norm statistics", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using S = Compute<T>;
    with_vectors<T>(
        l,
        [&](auto width, auto inside) {
          constexpr int W = width;
          const ColumnPlan plan = plan_columns(l, W, inside,
                                               {.vector_bytes = static_cast<int>(W * sizeof(T)),
                                                .rows_per_thread = 4,
                                                .most_blocks = c.multiprocessors()});
          const Tensor partial =
              Tensor::empty({plan.launch.blocks_y, l.channels, 2}, {.dtype = dtype_of<S>, .device = x.device()});
          launch("batch_norm statistics", c, plan.launch, statistics_kernel<T, W, inside>, plan.columns,
                 pointer<const T>(x), pointer<S>(partial), pointer<S>(mean), pointer<S>(variance));
        },
        x);
  });
}

void update(const BatchNormStatistics& s, const BatchNormUpdate& how, const Tensor& inv_std) {
  if (inv_std.numel() == 0) return;
  Context& c = context(inv_std.device().index);
  const auto run = [&](auto f) {
    using T = decltype(f.eps);
    launch("batch_norm update", c, cover(inv_std.numel()), update_kernel<T>, inv_std.numel(), f,
           pointer<const T>(s.mean), pointer<const T>(s.variance), pointer<T>(s.running_mean),
           pointer<T>(s.running_var), pointer<T>(inv_std));
  };
  if (inv_std.dtype() == DType::f64)
    run(functors::UpdateStatistics<double>(how));
  else
    run(functors::UpdateStatistics<float>(how));
}

void normalize(const Tensor& x_any, const Tensor& mean, const Tensor& inv_std, const Tensor& weight, const Tensor& bias,
               const Tensor& residual_any, bool relu, const Tensor& y) {
  if (y.numel() == 0) return;
  const Tensor x = dense(x_any, y.format()), residual = dense(residual_any, y.format());
  count_norm(x, residual.defined() ? 3 : 2);
  const ChannelLayout l = channel_layout(y);
  Context& c = context(x.device().index);
  dispatch_floating(x.dtype(), "batch_norm", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using S = Compute<T>;
    with_vectors<T>(
        l,
        [&](auto width, auto inside) {
          constexpr int W = width;
          const ColumnPlan plan = plan_columns(l, W, inside,
                                               {.vector_bytes = static_cast<int>(W * sizeof(T)),
                                                .rows_per_thread = 2,
                                                .most_blocks = int64_t{c.multiprocessors()} * 4});
          launch("batch_norm", c, plan.launch, normalize_kernel<T, W, inside>, plan.columns, pointer<const T>(x),
                 pointer<const S>(mean), pointer<const S>(inv_std), pointer<const S>(weight), pointer<const S>(bias),
                 pointer<const T>(residual), relu, pointer<T>(y));
        },
        x, mean, inv_std, weight, bias, residual, y);
  });
}

}  // namespace

void fill(NormKernels& table) {
  table.statistics = statistics;
  table.update = update;
  table.normalize = normalize;
  table.backward = batch_norm_backward;
  table.backward_lazy = [](const BatchNormSaved& saved, const Tensor& dy, bool wants_dresidual) {
    const BatchNormGradients g = batch_norm_backward(saved, dy, wants_dresidual);
    return LazyBatchNormGradients{{.g = g.dx}, g.dweight, g.dbias, g.dresidual};
  };
}

}  // namespace engine::cuda
