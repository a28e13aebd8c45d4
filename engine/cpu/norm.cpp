#include <vector>

#include "engine/core/parallel.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/layout.h"
#include "engine/cpu/lanes/norm.h"
#include "engine/cpu/row_kernels.h"
#include "engine/cpu/table.h"
#include "engine/kernels/batch_norm.h"
#include "engine/kernels/count_work.h"

namespace engine::cpu {
namespace {

// x seen as (outer, C, inner) in memory: channels_last and (N, C) have inner = 1, row-major images inner = H W.
struct Layout {
  int64_t outer, channels, inner;
};

Layout layout_of(const Tensor& x) {
  const int64_t c = x.size(1);
  if (x.rank() == 4 && x.format() == MemoryFormat::contiguous && x.size(2) * x.size(3) > 1)
    return {x.size(0), c, x.size(2) * x.size(3)};
  return {c ? x.numel() / c : 0, c, 1};
}

// --- f32 and bf16 with channels innermost: vector kernels over chunks of rows ----------------------------------------
//
// Few channels make short rows, so `tile` rows are taken as one longer row with the per-channel values repeated. Sums
// are kept per chunk of rows, a fixed number whatever the thread count, and added up in order: the same bits every
// time.

struct Rows {
  int64_t rows, channels, tile, chunk, chunks;
  explicit Rows(const Layout& l) : rows(l.outer), channels(l.channels) {
    tile = std::max<int64_t>(1, 96 / std::max<int64_t>(channels, 1));
    chunk = std::max<int64_t>(64, 16384 / std::max<int64_t>(channels, 1)) / tile * tile;
    chunks = (rows + chunk - 1) / chunk;
  }
  std::vector<float> tiled(const float* values) const {
    std::vector<float> out(static_cast<std::size_t>(tile * channels));
    for (int64_t i = 0; i < tile * channels; ++i) out[i] = values[i % channels];
    return out;
  }
  // f(first element, rows, channels per row) on the tiled rows of [begin, end) and then on what is left of them.
  template <class F>
  void pieces(int64_t begin, int64_t end, F&& f) const {
    const int64_t whole = (end - begin) / tile;
    if (whole) f(begin * channels, whole, tile * channels);
    if (const int64_t done = begin + whole * tile; done < end) f(done * channels, end - done, channels);
  }
  // Two per-channel sums over all rows; f(first element, rows, channels, sum, sum) adds to its last two arguments.
  template <class F>
  void reduce(F&& f, std::vector<double>& first, std::vector<double>& second) const {
    std::vector<double> partial(static_cast<std::size_t>(2 * chunks * channels), 0.0);
    parallel_for(chunks, 1, [&](int64_t k, int64_t end) {
      std::vector<float> sums(static_cast<std::size_t>(2 * tile * channels));
      for (; k < end; ++k) {
        double* out = partial.data() + 2 * k * channels;
        pieces(k * chunk, std::min(rows, (k + 1) * chunk), [&](int64_t at, int64_t n, int64_t width) {
          std::fill(sums.begin(), sums.end(), 0.0f);
          f(at, n, width, sums.data(), sums.data() + width);
          for (int64_t i = 0; i < width; i += channels)
            for (int64_t c = 0; c < channels; ++c) {
              out[c] += sums[i + c];
              out[channels + c] += sums[width + i + c];
            }
        });
      }
    });
    first.assign(static_cast<std::size_t>(channels), 0.0);
    second = first;
    for (int64_t k = 0; k < chunks; ++k)
      for (int64_t c = 0; c < channels; ++c) {
        first[c] += partial[2 * k * channels + c];
        second[c] += partial[(2 * k + 1) * channels + c];
      }
  }
  template <class F>
  void each(F&& f) const {
    parallel_for(chunks, 1, [&](int64_t k, int64_t end) {
      for (; k < end; ++k) pieces(k * chunk, std::min(rows, (k + 1) * chunk), f);
    });
  }
};

template <class T>
constexpr bool has_rows = std::is_same_v<T, float> || std::is_same_v<T, bfloat16>;

// The passes and a tensor's elements as they take them.
const RowPasses<float>& passes_of(float) { return row_kernels().f32; }
const RowPasses<uint16_t>& passes_of(bfloat16) { return row_kernels().bf16; }
template <class T>
auto* stored(T* x) {
  if constexpr (std::is_same_v<std::remove_const_t<T>, float>)
    return x;
  else
    return reinterpret_cast<std::conditional_t<std::is_const_v<T>, const uint16_t, uint16_t>*>(x);
}
// n elements after x; null stays null.
template <class T>
auto* from(T* x, int64_t n) {
  return x ? stored(x) + n : nullptr;
}

template <class T>
void statistics_rows(const Rows& r, const T* x, float* mean, float* variance) {
  const std::vector<float> first(x, x + r.channels);  // near the mean, whatever the mean is
  const std::vector<float> shift = r.tiled(first.data());
  std::vector<double> sum, squares;
  r.reduce([&](int64_t at, int64_t n, int64_t width, float* s,
               float* q) { passes_of(T()).sums(from(x, at), shift.data(), n, width, s, q); },
           sum, squares);
  for (int64_t c = 0; c < r.channels; ++c) {
    const double m = sum[c] / static_cast<double>(r.rows);
    mean[c] = static_cast<float>(m + shift[c]);
    variance[c] = static_cast<float>(std::max(0.0, squares[c] / static_cast<double>(r.rows) - m * m));
  }
}

template <class T>
void normalize_rows(const Rows& r, const T* x, const float* mean, const float* inv_std, const float* weight,
                    const float* bias, const T* residual, bool relu, T* y) {
  std::vector<float> scale(static_cast<std::size_t>(r.channels)), shift(scale.size());
  for (int64_t c = 0; c < r.channels; ++c) {
    scale[c] = inv_std[c] * weight[c];
    shift[c] = bias[c] - mean[c] * scale[c];
  }
  const std::vector<float> scales = r.tiled(scale.data()), shifts = r.tiled(shift.data());
  r.each([&](int64_t at, int64_t n, int64_t width) {
    passes_of(T()).normalize(from(x, at), scales.data(), shifts.data(), from(residual, at), relu, n, width,
                             from(y, at));
  });
}

template <class T>
struct BackwardPointers {
  const T *x, *y, *dy;
  const float *weight, *mean, *inv_std;
  T *dx, *dresidual;
  float *dweight, *dbias;
};

template <class T>
void backward_rows(const Rows& r, const BackwardPointers<T>& p, bool batch_statistics) {
  const std::vector<float> means = r.tiled(p.mean);
  std::vector<double> sum_g, sum_gx;
  r.reduce(
      [&](int64_t at, int64_t n, int64_t width, float* s, float* q) {
        passes_of(T()).backward_sums(from(p.x, at), from(p.y, at), from(p.dy, at), means.data(), n, width, s, q);
      },
      sum_g, sum_gx);
  std::vector<float> a(static_cast<std::size_t>(r.channels)), b(a.size(), 0.0f), c(a.size(), 0.0f);
  for (int64_t i = 0; i < r.channels; ++i) {
    const double s = p.inv_std[i], n = static_cast<double>(r.rows), ws = p.weight[i] * s;
    const double dweight = sum_gx[i] * s;  // sum of g z
    p.dweight[i] = static_cast<float>(dweight);
    p.dbias[i] = static_cast<float>(sum_g[i]);
    a[i] = static_cast<float>(ws);
    if (batch_statistics) {  // dx = ws (g - mean(g) - (x - m) s mean(g z))
      b[i] = static_cast<float>(-ws * s * dweight / n);
      c[i] = static_cast<float>(ws * (p.mean[i] * s * dweight - sum_g[i]) / n);
    }
  }
  const std::vector<float> as = r.tiled(a.data()), bs = r.tiled(b.data()), cs = r.tiled(c.data());
  r.each([&](int64_t at, int64_t n, int64_t width) {
    passes_of(T()).backward_input(from(p.x, at), from(p.y, at), from(p.dy, at), as.data(), bs.data(), cs.data(), n,
                                  width, from(p.dx, at), from(p.dresidual, at));
  });
}

// --- any type, any layout: plain loops with double sums --------------------------------------------------------------

template <class T, class F>
void for_channel(const Layout& l, int64_t c, F&& f) {
  for (int64_t o = 0; o < l.outer; ++o)
    for (int64_t i = 0, at = (o * l.channels + c) * l.inner; i < l.inner; ++i) f(at + i);
}

template <class T, class S>
void statistics_plain(const Layout& l, const T* x, S* mean, S* variance) {
  const double n = static_cast<double>(l.outer * l.inner);
  parallel_for(l.channels, 1, [&](int64_t c, int64_t end) {
    for (; c < end; ++c) {
      double sum = 0, squares = 0;
      for_channel<T>(l, c, [&](int64_t i) { sum += static_cast<Compute<T>>(x[i]); });
      const double m = sum / n;
      for_channel<T>(l, c, [&](int64_t i) {
        const double d = static_cast<Compute<T>>(x[i]) - m;
        squares += d * d;
      });
      mean[c] = static_cast<S>(m);
      variance[c] = static_cast<S>(squares / n);
    }
  });
}

template <class T, class S>
void normalize_plain(const Layout& l, const T* x, const S* mean, const S* inv_std, const S* weight, const S* bias,
                     const T* residual, bool relu, T* y) {
  parallel_for(l.channels, 1, [&](int64_t c, int64_t end) {
    for (; c < end; ++c) {
      const functors::Normalize<S> f{mean[c], inv_std[c] * weight[c], bias[c], relu};
      for_channel<T>(l, c, [&](int64_t i) {
        y[i] = static_cast<T>(f(static_cast<S>(x[i]), residual ? static_cast<S>(residual[i]) : S(0)));
      });
    }
  });
}

template <class T, class S>
void backward_plain(const Layout& l, const BatchNormSaved& saved, const T* dy, T* dx, S* dweight, S* dbias,
                    T* dresidual) {
  const T* x = saved.x.data<T>();
  const T* y = saved.relu ? saved.y.data<T>() : nullptr;
  const S *mean = saved.mean.data<S>(), *inv_std = saved.inv_std.data<S>(), *weight = saved.weight.data<S>();
  const double n = static_cast<double>(l.outer * l.inner);
  parallel_for(l.channels, 1, [&](int64_t c, int64_t end) {
    for (; c < end; ++c) {
      double sum_g = 0, sum_gz = 0;
      const auto wide = [](T value) { return static_cast<double>(static_cast<Compute<T>>(value)); };
      const auto g = [&](int64_t i) {
        return y ? functors::Relu<double>{}.backward(0, wide(y[i]), wide(dy[i])) : wide(dy[i]);
      };
      for_channel<T>(l, c, [&](int64_t i) {
        sum_g += g(i);
        sum_gz += g(i) * (wide(x[i]) - mean[c]) * inv_std[c];
      });
      dweight[c] = static_cast<S>(sum_gz);
      dbias[c] = static_cast<S>(sum_g);
      const auto input = functors::NormalizeGradient<double>::of(mean[c], inv_std[c], weight[c], sum_gz, sum_g,
                                                                 saved.batch_statistics ? 1 / n : 0);
      for_channel<T>(l, c, [&](int64_t i) {
        if (dresidual) dresidual[i] = static_cast<T>(static_cast<Compute<T>>(g(i)));
        dx[i] = static_cast<T>(static_cast<Compute<T>>(input(wide(x[i]), g(i))));
      });
    }
  });
}

// --- the table's entries ---------------------------------------------------------------------------------------------

// Per-channel values have f32 for every type but f64.
template <class T>
using Stat = std::conditional_t<std::is_same_v<T, double>, double, float>;

bool fits_rows(const Layout& l) { return l.inner == 1 && l.outer > 0; }

void statistics(const Tensor& x_any, const Tensor& mean, const Tensor& variance) {
  const Tensor x = dense(x_any);
  count_norm(x, 1);
  if (lanes::any_in_lanes(x)) return lanes::norm_statistics(x, mean, variance);
  const Layout l = layout_of(x);
  dispatch_floating(x.dtype(), "batch_norm", [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (has_rows<T>)
      if (fits_rows(l)) return statistics_rows(Rows(l), x.data<T>(), mean.data<float>(), variance.data<float>());
    statistics_plain(l, x.data<T>(), mean.data<Stat<T>>(), variance.data<Stat<T>>());
  });
}

template <class T>
void update_channels(const BatchNormStatistics& s, const functors::UpdateStatistics<T>& f, const Tensor& inv_std) {
  const T *mean = s.mean.data<T>(), *variance = s.variance.data<T>();
  T *running_mean = s.running_mean.data<T>(), *running_var = s.running_var.data<T>(), *out = inv_std.data<T>();
  for (int64_t c = 0; c < inv_std.numel(); ++c) {
    out[c] = f.inv_std(variance[c]);
    running_mean[c] = f.running_mean(running_mean[c], mean[c]);
    running_var[c] = f.running_var(running_var[c], variance[c]);
  }
}

void update(const BatchNormStatistics& s, const BatchNormUpdate& how, const Tensor& inv_std) {
  if (inv_std.dtype() == DType::f64)
    update_channels(s, functors::UpdateStatistics<double>(how), inv_std);
  else
    update_channels(s, functors::UpdateStatistics<float>(how), inv_std);
}

void normalize(const Tensor& x_any, const Tensor& mean, const Tensor& inv_std, const Tensor& weight, const Tensor& bias,
               const Tensor& residual_any, bool relu, const Tensor& y) {
  const Tensor x = dense(x_any, y.format());
  const Tensor residual = dense(residual_any, y.format());
  count_norm(x, residual.defined() ? 3 : 2);
  if (lanes::any_in_lanes(y)) return lanes::normalize(x, mean, inv_std, weight, bias, residual, relu, y);
  const Layout l = layout_of(y);
  dispatch_floating(x.dtype(), "batch_norm", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using S = Stat<T>;
    const T* r = residual.defined() ? residual.data<T>() : nullptr;
    if constexpr (has_rows<T>)
      if (fits_rows(l))
        return normalize_rows(Rows(l), x.data<T>(), mean.data<S>(), inv_std.data<S>(), weight.data<S>(), bias.data<S>(),
                              r, relu, y.data<T>());
    normalize_plain(l, x.data<T>(), mean.data<S>(), inv_std.data<S>(), weight.data<S>(), bias.data<S>(), r, relu,
                    y.data<T>());
  });
}

// In lanes, a dy that nobody but the caller holds becomes dresidual, which is dy with zeros in it: memory that was just
// read needn't be fetched to be written.
// What backward reads, dense and in x's format.
BatchNormSaved readable(const BatchNormSaved& given) {
  BatchNormSaved saved = given;
  saved.x = dense(given.x);
  if (saved.relu) saved.y = dense(given.y, saved.x.format());
  return saved;
}

// Memory for what ReLU lets through of dy: dy's own where nobody else has it.
Tensor room_for_gated(const Tensor& dy_any, const Tensor& dy) { return dy_any.is_unshared() ? dy : empty_like(dy); }

BatchNormGradients backward(const BatchNormSaved& given, const Tensor& dy_any, bool wants_dresidual) {
  const BatchNormSaved saved = readable(given);
  const Tensor dy = dense(dy_any, saved.x.format());
  count_norm(dy, (saved.relu ? 6 : 4) + (wants_dresidual ? 2 : 1));
  if (lanes::any_in_lanes(dy))
    return lanes::norm_backward(saved, dy, wants_dresidual ? room_for_gated(dy_any, dy) : Tensor());
  BatchNormGradients out{empty_like(saved.x), empty_like(saved.weight), empty_like(saved.weight), {}};
  if (wants_dresidual) out.dresidual = empty_like(saved.x);
  const Layout l = layout_of(saved.x);
  dispatch_floating(dy.dtype(), "batch_norm", [&](auto tag) {
    using T = typename decltype(tag)::type;
    using S = Stat<T>;
    T* dresidual = wants_dresidual ? out.dresidual.data<T>() : nullptr;
    if constexpr (has_rows<T>)
      if (fits_rows(l))
        return backward_rows<T>(Rows(l),
                                {saved.x.data<T>(), saved.relu ? saved.y.data<T>() : nullptr, dy.data<T>(),
                                 saved.weight.data<S>(), saved.mean.data<S>(), saved.inv_std.data<S>(),
                                 out.dx.data<T>(), dresidual, out.dweight.data<S>(), out.dbias.data<S>()},
                                saved.batch_statistics);
    backward_plain(l, saved, dy.data<T>(), out.dx.data<T>(), out.dweight.data<S>(), out.dbias.data<S>(), dresidual);
  });
  return out;
}

LazyBatchNormGradients backward_lazy(const BatchNormSaved& given, const Tensor& dy_any, bool wants_dresidual) {
  if (!lanes::any_in_lanes(given.x)) {
    const BatchNormGradients g = backward(given, dy_any, wants_dresidual);
    return {{.g = g.dx}, g.dweight, g.dbias, g.dresidual};
  }
  const BatchNormSaved saved = readable(given);
  const Tensor dy = dense(dy_any, saved.x.format());
  count_norm(dy, saved.relu ? 4 : 2);
  LazyBatchNormGradients out = lanes::norm_backward_lazy(saved, dy, saved.relu ? room_for_gated(dy_any, dy) : dy);
  if (wants_dresidual) out.dresidual = out.dx.g;
  return out;
}

}  // namespace

void fill(NormKernels& table) {
  table.statistics = statistics;
  table.update = update;
  table.normalize = normalize;
  table.backward = backward;
  table.backward_lazy = backward_lazy;
}

}  // namespace engine::cpu
