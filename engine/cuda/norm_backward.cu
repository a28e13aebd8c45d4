// Batch norm, backward: one launch for the sums and one for the gradients of x and of the residual.
//
// g = dy where y > 0;  dresidual = g;  dbias = sum g;  dweight = sum g z,  z = (x - mean) inv_std
// dx = weight inv_std (g - mean(g) - z mean(g z)) with batch statistics, weight inv_std g with constant ones
#include "engine/cuda/columns.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/norm.h"
#include "engine/kernels/batch_norm.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

__device__ unsigned sums_arrived[most_counted_groups];

// The gradient behind ReLU, in the compute type; y is null where there was none.
template <int W, class T>
__device__ Vec<Compute<T>, W> gradient(Global<const T> y, Global<const T> dy, int64_t at) {
  using S = Compute<T>;
  const auto given = load<W>(dy, at);
  Vec<S, W> g;
#pragma unroll
  for (int w = 0; w < W; ++w) g.at[w] = static_cast<S>(given.at[w]);
  if (y) {
    const auto out = load<W>(y, at);
#pragma unroll
    for (int w = 0; w < W; ++w) g.at[w] = functors::Relu<S>{}.backward(S(0), static_cast<S>(out.at[w]), g.at[w]);
  }
  return g;
}

// dbias and dweight. Every block leaves sum g and sum g (x - mean) over its rows in `partial` (chunks, channels, 2);
// the last one adds them up. Without the second launch bound ptxas spills registers to fit one more block.
template <class T, int W, bool inside>
__global__ void __launch_bounds__(column_threads, 1)
    sums_kernel(Columns g, Global<const T> x, Global<const T> y, Global<const T> dy, Global<const Compute<T>> mean,
                Global<const Compute<T>> inv_std, Global<Compute<T>> partial, Global<Compute<T>> dweight,
                Global<Compute<T>> dbias) {
  using S = Compute<T>;
  constexpr int L = channels_per_vector<W, inside>;
  using Found = ColumnSums<S, L>;
  ENGINE_SHARED(S, shared, column_threads / 2 * (sizeof(Found) / sizeof(S)));
  const ColumnPart part(g);
  const int64_t channels = g.columns * L;
  ColumnSums<S, W> sums;
  if (part.row < part.end) {
    const auto m = load_channels<W, inside>(mean, part.column);
#pragma unroll 2
    for (int64_t row = part.row; row < part.end; row += g.block_rows) {
      const int64_t at = g.vector(row, part.column) * W;
      const auto in = load<W>(x, at);
      const auto grad = gradient<W, T>(y, dy, at);
#pragma unroll
      for (int w = 0; w < W; ++w) {
        sums.first[w] += grad.at[w];
        sums.second[w] += grad.at[w] * (static_cast<S>(in.at[w]) - m.at[w]);
      }
    }
  }
  Found found;
  if constexpr (L == W)
    found = sums;
  else
    found = sums.together();
  add_rows<S>(found, g.block_rows, g.block_columns, shared);
  if (part.leads) {
#pragma unroll
    for (int l = 0; l < L; ++l)
      store<2>(partial, 2 * (blockIdx.y * channels + part.column * L + l), Vec<S, 2>{found.first[l], found.second[l]});
  }
  if (!last_of_group(sums_arrived)) return;

  add_chunks<L>(
      g,
      [&](int64_t k, int64_t c) {
        const auto p = load<2>(partial, 2 * (k * channels + c));
        return ColumnSums<double, 1>{{static_cast<double>(p.at[0])}, {static_cast<double>(p.at[1])}};
      },
      [&](int64_t c, const ColumnSums<double, 1>& all) {
        dbias[c] = static_cast<S>(all.first[0]);
        dweight[c] = static_cast<S>(all.second[0] * static_cast<double>(inv_std[c]));
      });
}

// dx and, where it isn't null, dresidual.
template <class T, int W, bool inside>
__global__ void __launch_bounds__(column_threads)
    input_kernel(Columns g, Global<const T> x, Global<const T> y, Global<const T> dy, Global<const Compute<T>> mean,
                 Global<const Compute<T>> inv_std, Global<const Compute<T>> weight, Global<const Compute<T>> dweight,
                 Global<const Compute<T>> dbias, Compute<T> share, Global<T> dx, Global<T> dresidual) {
  using S = Compute<T>;
  const ColumnPart part(g);
  if (part.row >= part.end) return;
  const auto m = load_channels<W, inside>(mean, part.column), s = load_channels<W, inside>(inv_std, part.column),
             a = load_channels<W, inside>(weight, part.column), da = load_channels<W, inside>(dweight, part.column),
             db = load_channels<W, inside>(dbias, part.column);
  functors::NormalizeGradient<S> f[W];
#pragma unroll
  for (int w = 0; w < W; ++w)
    f[w] = functors::NormalizeGradient<S>::of(m.at[w], s.at[w], a.at[w], da.at[w], db.at[w], share);
  for (int64_t row = part.row; row < part.end; row += g.block_rows) {
    const int64_t at = g.vector(row, part.column) * W;
    const auto in = load<W>(x, at);
    const auto grad = gradient<W, T>(y, dy, at);
    Vec<T, W> out, passed;
#pragma unroll
    for (int w = 0; w < W; ++w) {
      out.at[w] = static_cast<T>(f[w](static_cast<S>(in.at[w]), grad.at[w]));
      passed.at[w] = static_cast<T>(grad.at[w]);
    }
    store<W>(dx, at, out);
    if (dresidual) store<W>(dresidual, at, passed);
  }
}

}  // namespace

BatchNormGradients batch_norm_backward(const BatchNormSaved& saved, const Tensor& dy_any, bool wants_dresidual) {
  const char* op = "batch_norm backward";
  const Tensor x = dense(saved.x, saved.x.format()), dy = dense(dy_any, x.format());
  const Tensor y = saved.relu ? dense(saved.y, x.format()) : Tensor();
  BatchNormGradients out{empty_like(x), empty_like(saved.weight), empty_like(saved.weight),
                         wants_dresidual ? empty_like(x) : Tensor()};
  if (x.numel() == 0) {
    out.dweight = out.dbias = Tensor::zeros(saved.weight.shape(), saved.weight.options());
    return out;
  }
  count_norm(dy, (saved.relu ? 6 : 4) + (wants_dresidual ? 2 : 1));
  const ChannelLayout l = channel_layout(x);
  Context& c = context(x.device().index);
  dispatch_floating(x.dtype(), op, [&](auto tag) {
    using T = typename decltype(tag)::type;
    using S = Compute<T>;
    const S share = saved.batch_statistics ? static_cast<S>(1 / static_cast<double>(l.outer * l.inner)) : S(0);
    with_vectors<T>(
        l,
        [&](auto width, auto inside) {
          constexpr int W = width;
          const int bytes = static_cast<int>(W * sizeof(T));
          const ColumnPlan sums = plan_columns(
              l, W, inside, {.vector_bytes = bytes, .rows_per_thread = 4, .most_blocks = c.multiprocessors()});
          const Tensor partial =
              Tensor::empty({sums.launch.blocks_y, l.channels, 2}, {.dtype = dtype_of<S>, .device = x.device()});
          launch(op, c, sums.launch, sums_kernel<T, W, inside>, sums.columns, pointer<const T>(x), pointer<const T>(y),
                 pointer<const T>(dy), pointer<const S>(saved.mean), pointer<const S>(saved.inv_std),
                 pointer<S>(partial), pointer<S>(out.dweight), pointer<S>(out.dbias));
          const ColumnPlan each = plan_columns(
              l, W, inside,
              {.vector_bytes = bytes, .rows_per_thread = 2, .most_blocks = int64_t{c.multiprocessors()} * 4});
          launch(op, c, each.launch, input_kernel<T, W, inside>, each.columns, pointer<const T>(x), pointer<const T>(y),
                 pointer<const T>(dy), pointer<const S>(saved.mean), pointer<const S>(saved.inv_std),
                 pointer<const S>(saved.weight), pointer<const S>(out.dweight), pointer<const S>(out.dbias), share,
                 pointer<T>(out.dx), pointer<T>(out.dresidual));
        },
        x, y, dy, saved.mean, saved.inv_std, saved.weight, out.dweight, out.dbias, out.dx, out.dresidual);
  });
  return out;
}

}  // namespace engine::cuda
