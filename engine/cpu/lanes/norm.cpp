#include "engine/cpu/lanes/norm.h"

#include <array>
#include <vector>

#include "engine/core/parallel.h"
#include "engine/cpu/lanes/norm_kernels.h"

namespace engine::cpu::lanes {
namespace {

// A run is the pixels of one channel of one group; run i starts at element i * size of the memory.
struct Runs {
  int64_t images, groups, channels, pixels, size;

  explicit Runs(const Tensor& x)
      : images(x.size(0)),
        groups(groups_of(x.shape())[0]),
        channels(x.size(1)),
        pixels(x.size(2) * x.size(3)),
        size(pixels * images_per_group) {}

  int existing(int64_t run) const {
    return static_cast<int>(std::min(images - run / channels * images_per_group, images_per_group));
  }
  double values_per_channel() const { return static_cast<double>(images * pixels); }

  // f(run, channel, where it starts), in parallel.
  template <class F>
  void each(F&& f) const {
    parallel_for(groups * channels, grain(), [&](int64_t run, int64_t end) {
      for (; run < end; ++run) f(run, run % channels, run * size);
    });
  }
  // From each thread's last run to its first: after a pass that went forwards, the last are still in a cache, and the
  // first are when the next one begins.
  template <class F>
  void each_backwards(F&& f) const {
    parallel_for(groups * channels, grain(), [&](int64_t begin, int64_t run) {
      while (run-- > begin) f(run, run % channels, run * size);
    });
  }
  int64_t grain() const { return std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(size, 1)); }
};

using LaneSums = std::array<float, images_per_group>;

// Sums of every channel for one part after the other, put together in that order.
std::vector<TwoSums> sums_of_channels(const std::vector<TwoSums>& of_parts, int64_t channels) {
  std::vector<TwoSums> sums(static_cast<std::size_t>(channels), TwoSums{});
  for (std::size_t i = 0; i < of_parts.size(); ++i)
    for (int k = 0; k < 2; ++k) sums[i % sums.size()][k] += of_parts[i][k];
  return sums;
}

// Two sums per channel. f(run, channel, where it starts, sums, sums) gives them per lane in f32; from there on they are
// added in double and in order.
template <class F>
std::vector<TwoSums> reduce(const Runs& runs, F&& f) {
  std::vector<TwoSums> of_run(static_cast<std::size_t>(runs.groups * runs.channels));
  runs.each([&](int64_t run, int64_t channel, int64_t at) {
    alignas(64) LaneSums first, second;
    f(channel, at, first.data(), second.data());
    TwoSums total{};
    for (int lane = 0; lane < runs.existing(run); ++lane) {
      total[0] += first[lane];
      total[1] += second[lane];
    }
    of_run[run] = total;
  });
  return sums_of_channels(of_run, runs.channels);
}

// f(the kernels for x's type, a null pointer of the type they read)
template <class F>
void with_functions(const Tensor& x, F&& f) {
  switch (x.dtype()) {
    case DType::f32: return f(lane_norm_kernels().f32, static_cast<float*>(nullptr));
    case DType::bf16: return f(lane_norm_kernels().bf16, static_cast<uint16_t*>(nullptr));
    default: fail("batch_norm", "batch_lanes has kernels for f32 and bf16, not for {}: use contiguous()", x.str());
  }
}

template <class T>
T* elements(const Tensor& x) {
  return x.defined() ? reinterpret_cast<T*>(x.raw()) : nullptr;
}

// A typical value of each channel: the mean over the first pixel of the first images.
std::vector<float> typical_values(const Tensor& x, const Runs& runs) {
  std::vector<float> values(static_cast<std::size_t>(runs.channels));
  dispatch_floating(x.dtype(), "batch_norm", [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t c = 0; c < runs.channels; ++c) {
      double sum = 0;
      for (int lane = 0; lane < runs.existing(0); ++lane)
        sum += static_cast<Compute<T>>(x.data<T>()[c * runs.size + lane]);
      values[c] = static_cast<float>(sum / runs.existing(0));
    }
  });
  return values;
}

}  // namespace

// mean = k + E[x - k], variance = E[(x - k)^2] - E[x - k]^2, with k near the mean so that little cancels.
void norm_statistics(const Tensor& x, const Tensor& mean, const Tensor& variance) {
  const Runs runs(x);
  with_functions(x, [&]<class T>(const LaneNormFunctions<T>& kernels, T*) {
    const std::vector<float> shift = typical_values(x, runs);
    const T* px = elements<T>(x);
    const auto sums = reduce(runs, [&](int64_t c, int64_t at, float* sum, float* squares) {
      kernels.sums(px + at, shift[c], runs.pixels, sum, squares);
    });
    for (int64_t c = 0; c < runs.channels; ++c) {
      const double m = sums[c][0] / runs.values_per_channel(), m2 = sums[c][1] / runs.values_per_channel();
      mean.data<float>()[c] = static_cast<float>(shift[c] + m);
      variance.data<float>()[c] = static_cast<float>(std::max(0.0, m2 - m * m));
    }
  });
}

void normalize(const Tensor& x, const Tensor& mean, const Tensor& inv_std, const Tensor& weight, const Tensor& bias,
               const Tensor& residual, bool relu, const Tensor& y) {
  const Runs runs(x);
  const float *m = mean.data<float>(), *s = inv_std.data<float>(), *w = weight.data<float>(), *b = bias.data<float>();
  with_functions(x, [&]<class T>(const LaneNormFunctions<T>& kernels, T*) {
    const T *px = elements<T>(x), *pr = elements<T>(residual);
    T* py = elements<T>(y);
    runs.each_backwards([&](int64_t run, int64_t c, int64_t at) {
      const float scale = s[c] * w[c];
      kernels.normalize(px + at, scale, b[c] - m[c] * scale, pr ? pr + at : nullptr, relu, runs.existing(run),
                        runs.pixels, py + at);
    });
  });
}

namespace {

// What ReLU lets through in the run at element `at` of channel c.
template <class T>
LaneGate<T> gate_of(const BatchNormSaved& saved, int64_t c, int64_t at) {
  if (!saved.relu) return {};
  if (saved.residual) return {.kind = LaneGate<T>::by_output, .y = elements<T>(saved.y) + at};
  const float scale = saved.inv_std.data<float>()[c] * saved.weight.data<float>()[c];
  return {.kind = LaneGate<T>::by_input,
          .scale = scale,
          .shift = saved.bias.data<float>()[c] - saved.mean.data<float>()[c] * scale};
}

// The sums of g, which `kept` receives where it is defined.
std::vector<TwoSums> gradient_sums(const BatchNormSaved& saved, const Tensor& dy, const Tensor& kept) {
  std::vector<TwoSums> sums;
  with_functions(saved.x, [&]<class T>(const LaneNormFunctions<T>& kernels, T*) {
    const Runs runs(saved.x);
    sums = reduce(runs, [&](int64_t c, int64_t at, float* sum_g, float* sum_gx) {
      kernels.backward_sums(elements<T>(saved.x) + at, gate_of<T>(saved, c, at), elements<T>(dy) + at,
                            saved.mean.data<float>()[c], runs.pixels, kept.defined() ? elements<T>(kept) + at : nullptr,
                            sum_g, sum_gx);
    });
  });
  return sums;
}

// f(run, channel, where it starts, a, b, c) for each run of a gradient a g + b x + c, the last ones first.
template <class F>
void each_run(const LazyGradient& gradient, F&& f) {
  const float *a = gradient.a.data<float>(), *b = gradient.b.data<float>(), *c = gradient.c.data<float>();
  Runs(gradient.x).each_backwards([&](int64_t run, int64_t channel, int64_t at) {
    f(run, channel, at, a[channel], b[channel], c[channel]);
  });
}

}  // namespace

// dbias = sum g;  dweight = s sum g (x - m);  dx = ws (g - mean(g) - (x - m) s mean(g z)) = a g + b x + c
LazyBatchNormGradients norm_gradients(const BatchNormSaved& saved, const std::vector<TwoSums>& of_parts,
                                      const Tensor& g) {
  const Runs runs(saved.x);
  const auto values = [&] { return empty_like(saved.weight); };
  const LazyBatchNormGradients out{{g, saved.x, values(), values(), values()}, values(), values(), {}};
  const std::vector<TwoSums> sums = sums_of_channels(of_parts, runs.channels);
  const float *m = saved.mean.data<float>(), *s = saved.inv_std.data<float>(), *w = saved.weight.data<float>();
  for (std::size_t c = 0; c < sums.size(); ++c) {
    const double dbias = sums[c][0], dweight = sums[c][1] * s[c], ws = double{w[c]} * s[c];
    const double share = saved.batch_statistics ? ws / runs.values_per_channel() : 0;
    out.dbias.data<float>()[c] = static_cast<float>(dbias);
    out.dweight.data<float>()[c] = static_cast<float>(dweight);
    out.dx.a.data<float>()[c] = static_cast<float>(ws);
    out.dx.b.data<float>()[c] = static_cast<float>(-share * s[c] * dweight);
    out.dx.c.data<float>()[c] = static_cast<float>(share * (m[c] * s[c] * dweight - dbias));
  }
  return out;
}

LazyBatchNormGradients norm_backward_lazy(const BatchNormSaved& saved, const Tensor& dy, const Tensor& g) {
  const bool as_it_is = !saved.relu && g.shares_storage(dy);
  return norm_gradients(saved, gradient_sums(saved, dy, as_it_is ? Tensor{} : g), g);
}

Tensor made(const LazyGradient& gradient) {
  const Tensor& g = gradient.g;
  const Tensor dx = g.is_unshared() ? g : empty_like(g);
  with_functions(g, [&]<class T>(const LaneNormFunctions<T>& kernels, T*) {
    const Runs runs(g);
    each_run(gradient, [&](int64_t run, int64_t, int64_t at, float a, float b, float c) {
      kernels.backward_input(elements<T>(gradient.x) + at, {}, elements<T>(g) + at, a, b, c, runs.existing(run),
                             runs.pixels, elements<T>(dx) + at);
    });
  });
  return dx;
}

// g = dy where y > 0;  dresidual = g
BatchNormGradients norm_backward(const BatchNormSaved& saved, const Tensor& dy, const Tensor& dresidual) {
  const bool kept = dresidual.defined();  // else g is found again from dy
  const Tensor &from = kept ? dresidual : dy, dx = empty_like(saved.x);
  const LazyBatchNormGradients lazy = norm_gradients(saved, gradient_sums(saved, dy, dresidual), from);
  with_functions(saved.x, [&]<class T>(const LaneNormFunctions<T>& kernels, T*) {
    const Runs runs(saved.x);
    each_run(lazy.dx, [&](int64_t run, int64_t channel, int64_t at, float a, float b, float c) {
      kernels.backward_input(elements<T>(saved.x) + at, kept ? LaneGate<T>{} : gate_of<T>(saved, channel, at),
                             elements<T>(from) + at, a, b, c, runs.existing(run), runs.pixels, elements<T>(dx) + at);
    });
  });
  return {dx, lazy.dweight, lazy.dbias, dresidual};
}

}  // namespace engine::cpu::lanes
