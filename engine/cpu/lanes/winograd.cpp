#include "engine/cpu/lanes/winograd.h"

#include <cstring>
#include <optional>
#include <vector>

#include "engine/core/parallel.h"
#include "engine/cpu/lanes/norm.h"
#include "engine/cpu/lanes/plan.h"
#include "engine/cpu/lanes/winograd_kernels.h"

namespace engine::cpu::lanes {
namespace {

constexpr int64_t points = 36;

// How a convolution is cut into units of work: runs of tiles of one group, whose transforms, 36 values for each tile,
// lane and transformed channel, should fit `bytes`. Whole rows of tiles where one fits: neighbours share pixels, and
// what the next unit reads is then known (Ahead).
struct Plan {
  Plane plane;
  int64_t filters, groups, piece, pieces, tiles_at_once, units_of_group;

  // At least so many units, where the tiles suffice.
  Plan(const Tensor& x, int64_t filters, int64_t transformed, int64_t bytes, int64_t at_least = 1)
      : plane{x.size(1), x.size(2), x.size(3)}, filters(filters), groups(groups_of(x.shape())[0]) {
    const int64_t rows = (plane.height + 3) / 4, columns = (plane.width + 3) / 4;
    const int64_t fitting = std::max<int64_t>(1, bytes / (points * 64 * transformed));
    // As many of these at once as fit, in parts of nearly one size.
    piece = fitting >= columns ? columns : 1;
    pieces = rows * columns / piece;
    const int64_t wanted = (at_least + groups - 1) / groups;
    units_of_group = std::max((pieces + fitting / piece - 1) / (fitting / piece), std::min(wanted, pieces));
    tiles_at_once = (pieces + units_of_group - 1) / units_of_group * piece;
  }
  int64_t units() const { return groups * units_of_group; }
  int64_t group(int64_t unit) const { return unit / units_of_group; }
  Range tiles_of(int64_t unit) const {
    const int64_t i = unit % units_of_group;
    return {pieces * i / units_of_group * piece, pieces * (i + 1) / units_of_group * piece};
  }
  int64_t group_size(int64_t channels) const { return channels * plane.height * plane.width * lanes; }
};

// A quarter of the second-level cache, where x and y pass by too; at least a row of 32x32 images with 16 channels, or
// of 16x16 with 32. The products of backward-weight end with sums over lanes, which want long runs of tiles even where
// these don't fit as well.
int64_t forward_bytes() { return std::max<int64_t>(cache_bytes() / 4, 320 << 10); }
int64_t backward_bytes() { return std::max<int64_t>(cache_bytes() * 45 / 100, 896 << 10); }

Tensor floats(int64_t count) { return Tensor::empty({count}); }

// The passes for x's dtype, called as f(passes, storage type tag).
template <class F>
void with_passes(const Tensor& x, F&& f) {
  if (x.dtype() == DType::f32)
    f(winograd_kernels().f32, float{});
  else
    f(winograd_kernels().bf16, uint16_t{});
}

// The moments of every unit, put together in their order.
struct MomentsOfUnits {
  MomentsOfUnits(const Plan& plan)
      : filters(plan.filters),
        moments(static_cast<std::size_t>(plan.units() * filters)),
        counts(static_cast<std::size_t>(plan.units())) {}
  // Chan, Golub & LeVeque (1979): the deviation of two samples from their common mean.
  ChannelMoments total() const {
    ChannelMoments out{floats(filters), floats(filters)};
    for (int64_t k = 0; k < filters; ++k) {
      double n = 0, mean = 0, deviation = 0;
      for (std::size_t unit = 0; unit < counts.size(); ++unit) {
        const Moments& m = moments[unit * filters + k];
        const double count = static_cast<double>(counts[unit]), step = m.mean - mean;
        n += count;
        mean += step * count / n;
        deviation += m.deviation + step * step * count * (n - count) / n;
      }
      out.mean.data<float>()[k] = static_cast<float>(mean);
      out.variance.data<float>()[k] = static_cast<float>(deviation / n);
    }
    return out;
  }

  int64_t filters;
  std::vector<Moments> moments;
  std::vector<int64_t> counts;
};

// What ReLU lets through of a gradient with respect to a batch norm's result, and its sums over every unit. The result
// is relu(x scale + shift) of `input`, or where that is null saved.y.
struct GateOfUnits {
  const BatchNormSaved& saved;
  const NormalizedInput* input;
  std::vector<TwoSums> sums = {};

  template <class T>
  Gate<T> of_unit(int64_t unit, int64_t at) {
    const auto from = [at](const Tensor& x) { return reinterpret_cast<const T*>(x.raw()) + at; };
    Gate<T> gate{.x = from(saved.x),
                 .result = nullptr,
                 .scale = nullptr,
                 .shift = nullptr,
                 .mean = saved.mean.data<float>(),
                 .sums = sums[unit * saved.x.size(1)].data()};
    if (input) {
      gate.scale = input->scale.data<float>();
      gate.shift = input->shift.data<float>();
    } else {
      gate.result = from(saved.y);
    }
    return gate;
  }
};

int64_t images_of(const Tensor& x, int64_t group) { return std::min(lanes, x.size(0) - group * lanes); }

// A group's part of a tensor, and how it is read.
template <class T>
class SourceOfGroup {
 public:
  SourceOfGroup(const Tensor& x, int64_t group, const NormalizedInput* input) : SourceOfGroup(x, group) {
    if (input) read_ = Prologue<T>{input->scale.data<float>(), input->shift.data<float>(), images_of(x, group)};
  }
  SourceOfGroup(const LazyGradient& dy, int64_t group) : SourceOfGroup(dy.g, group) {
    if (dy.a.defined())
      read_ = Prologue<T>{dy.a.data<float>(), dy.c.data<float>(), images_of(dy.g, group), SourceOfGroup(dy.x, group).x_,
                          dy.b.data<float>()};
  }
  Source<T> get() const { return {x_, plane_, read_ ? &*read_ : nullptr}; }

 private:
  SourceOfGroup(const Tensor& x, int64_t group)
      : plane_{x.size(1), x.size(2), x.size(3)},
        x_(reinterpret_cast<const T*>(x.raw()) + group * plane_.channels * plane_.height * plane_.width * lanes) {}

  Plane plane_;
  const T* x_;
  std::optional<Prologue<T>> read_;
};

// w as the kernels read it: (filters, channels, 3, 3), or with `flipped` backward-data's (channels, filters, 3, 3).
Tensor transformed(const Tensor& w, bool flipped) {
  const int64_t filters = w.size(flipped ? 1 : 0), channels = w.size(flipped ? 0 : 1);
  const Tensor u = floats(points * filters * channels);
  parallel_for(channels, std::max<int64_t>(1, 256 / filters), [&](int64_t begin, int64_t end) {
    winograd_kernels().transform_weights(w.data<float>(), filters, channels, flipped, {begin, end}, u.data<float>());
  });
  return u;
}

struct ConvolveOptions {
  ChannelMoments* moments = nullptr;  // wanted where not null
  Tensor bias = {}, residual = {};    // an epilogue where there is a bias
  bool relu = false;
  Tensor onto = {};  // what the result is added to, in place
  const NormalizedInput* input = nullptr;
};

Tensor convolve(const Tensor& x, const Tensor& weights, const ConvolveOptions& o) {
  const WinogradKernels& kernels = winograd_kernels();
  const int64_t channels = x.size(1), filters = weights.numel() / (points * channels);
  const Tensor y = o.onto.defined() ? o.onto : Tensor::empty({x.size(0), filters, x.size(2), x.size(3)}, x.options());
  const Tensor& added = o.onto.defined() ? o.onto : o.residual;
  // Sums over units must not depend on the number of threads; where there are none, no thread shall be without work.
  const Plan plan(x, filters, channels, forward_bytes(), o.moments ? 1 : num_threads());
  MomentsOfUnits units(plan);
  with_passes(x, [&](const auto& passes, auto type) {
    using T = decltype(type);
    T* to = reinterpret_cast<T*>(y.raw());
    const T* residual = added.defined() ? reinterpret_cast<const T*>(added.raw()) : nullptr;
    parallel_for(plan.units(), 1, [&](int64_t unit, int64_t end) {
      const Tensor scratch = floats(kernels.forward_scratch(plan.plane, plan.tiles_at_once));
      for (; unit < end; ++unit) {
        const int64_t group = plan.group(unit), at = group * plan.group_size(filters);
        const SourceOfGroup<T> source(x, group, o.input);
        const Epilogue<T> epilogue{o.bias.defined() ? o.bias.data<float>() : nullptr,
                                   residual ? residual + at : nullptr, o.relu};
        const Outputs<T> outputs{to + at, o.bias.defined() || added.defined() ? &epilogue : nullptr,
                                 o.moments ? units.moments.data() + unit * filters : nullptr, nullptr};
        units.counts[unit] = passes.forward(source.get(), weights.data<float>(), filters, plan.tiles_of(unit),
                                            images_of(x, group), scratch.data<float>(), outputs);
      }
    });
  });
  if (o.moments) *o.moments = units.total();
  count_convolution(y, channels * 9, {&x, &weights, &y});
  return y;
}

struct SweepOptions {
  Tensor weights = {};  // flipped; without them there is no dx
  Tensor onto = {};     // what dx is added to, in place
  const NormalizedInput* input = nullptr;
  GateOfUnits* gate = nullptr;
};

// One sweep over dy for both gradients. Every thread sums the products of its units; then the threads' sums are added
// up in order.
ConvGradients sweep(const LazyGradient& dy, const Tensor& x, const SweepOptions& o) {
  const WinogradKernels& kernels = winograd_kernels();
  const int64_t channels = x.size(1), filters = dy.g.size(1), pairs = filters * channels;
  const bool wants_dx = o.weights.defined();
  const Tensor dx = !wants_dx ? Tensor() : o.onto.defined() ? o.onto : empty_like(x);
  // The gate's sums must not depend on the number of threads; where there are none, no thread shall be without work.
  const Plan plan(dy.g, channels, channels + filters, backward_bytes(), o.gate ? 1 : num_threads());
  if (o.gate) o.gate->sums.resize(static_cast<std::size_t>(plan.units() * channels));
  const int64_t pieces = std::min<int64_t>(num_threads(), plan.units());
  const Tensor products = floats(pieces * points * pairs);
  with_passes(x, [&](const auto& passes, auto type) {
    using T = decltype(type);
    parallel_for(pieces, 1, [&](int64_t piece, int64_t end) {
      const Tensor scratch = floats(kernels.backward_scratch(plan.plane, channels, plan.tiles_at_once));
      for (; piece < end; ++piece) {
        float* sums = products.data<float>() + piece * points * pairs;
        std::memset(sums, 0, static_cast<std::size_t>(points * pairs) * sizeof(float));
        for (int64_t unit = plan.units() * piece / pieces; unit < plan.units() * (piece + 1) / pieces; ++unit) {
          const int64_t group = plan.group(unit), at = group * plan.group_size(channels);
          const SourceOfGroup<T> of_dy(dy, group), of_x(x, group, o.input);
          T* to = wants_dx ? reinterpret_cast<T*>(dx.raw()) + at : nullptr;
          const Epilogue<T> added{.residual = to};
          const Gate<T> gate = o.gate ? o.gate->of_unit<T>(unit, at) : Gate<T>{};
          const Outputs<T> outputs{to, o.onto.defined() ? &added : nullptr, nullptr, o.gate ? &gate : nullptr};
          passes.backward(of_dy.get(), of_x.get(), wants_dx ? o.weights.data<float>() : nullptr, plan.tiles_of(unit),
                          images_of(x, group), scratch.data<float>(), outputs, sums);
        }
      }
    });
  });
  const Tensor dw = Tensor::empty({filters, channels, 3, 3});
  parallel_for(pairs, 256, [&](int64_t begin, int64_t end) {
    kernels.untransform_weights(products.data<float>(), pieces, filters, channels, {begin, end}, dw.data<float>());
  });
  count_convolution(dy.g, channels * 9, {&x, &dy.g, &dw});
  if (wants_dx) count_convolution(dx, filters * 9, {&o.weights, &dx});
  return {dx, dw};
}

}  // namespace

bool winograd_covers(const Shape& w, const Conv2dOptions& o) {
  return w[2] == 3 && w[3] == 3 && o.stride == Pair(1) && o.padding == Pair(1) && o.dilation == Pair(1) &&
         o.groups == 1;
}

Tensor winograd_forward(const Tensor& x, const Tensor& w, ChannelMoments* moments, const NormalizedInput* input) {
  return convolve(x, transformed(w, false), {.moments = moments, .input = input});
}

Tensor winograd_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue) {
  const Tensor weights = w.arranged({winograd_weights}, [&] { return transformed(w.values(), false); });
  return convolve(x, weights, {.bias = epilogue.bias, .residual = epilogue.residual, .relu = epilogue.relu});
}

Tensor winograd_backward_input(const Tensor& dy, const Tensor& w, const Tensor& onto) {
  return convolve(dy, transformed(w, true), {.onto = onto});
}

Tensor winograd_backward_weight(const Tensor& dy, const Tensor& x, const NormalizedInput* input) {
  return sweep({.g = dy}, x, {.input = input}).dw;
}

ConvGradients winograd_backward(const LazyGradient& dy, const Tensor& x, const Tensor& w, const Tensor& onto) {
  return sweep(dy, x, {.weights = transformed(w, true), .onto = onto});
}

ConvNormGradients winograd_backward_norm(const LazyGradient& dy, const Tensor& w, const BatchNormSaved& saved,
                                         const NormalizedInput* input, const Tensor& onto) {
  GateOfUnits gate{saved, input};
  const ConvGradients g = sweep(dy, input ? saved.x : saved.y,
                                {.weights = transformed(w, true), .onto = onto, .input = input, .gate = &gate});
  ConvNormGradients out{norm_gradients(saved, gate.sums, g.dx), g.dw};
  if (saved.residual) out.norm.dresidual = g.dx;
  return out;
}

}  // namespace engine::cpu::lanes
