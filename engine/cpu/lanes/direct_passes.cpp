// forward         y[p]     = sum_r w[r] x[s p + d r - e]          stride s, dilation d, padding e, in one dimension
// backward-input  dx[s i + a] = sum of w[r] dy[i + (a + e - d r) / s] over the taps r that leave no remainder
// backward-weight dw[r]    = sum_p dy[p] x[s p + d r - e]
//
// The first two are one walk: a grid of outputs, each the product of its window with the weights. Forward has one
// phase; backward-input has one for each a, with a fixed list of taps: no loop tests a tap, and none multiplies zeros.
#include "engine/cpu/lanes/direct_passes.h"

#include <algorithm>
#include <vector>

#include "engine/core/parallel.h"
#include "engine/core/tensor.h"
#include "engine/cpu/lanes/plan.h"

namespace engine::cpu::lanes {
namespace {

constexpr int64_t line = 64 / sizeof(float);  // floats of a cache line

int64_t up(int64_t a, int64_t b) { return (a + b - 1) / b; }

Tensor scratch(int64_t floats) { return Tensor::empty({floats}); }

template <class T>
const DirectPasses<T>& passes(const DirectKernels& kernels) {
  if constexpr (std::is_same_v<T, float>)
    return kernels.f32;
  else
    return kernels.bf16;
}

// A tap of the kernel and the pixel it reads, relative to an output's place in the band's grid.
struct Tap {
  int64_t h, w;
  int64_t index;  // in the kernel, row by row
};

std::vector<Tap> taps_of(const DirectProblem& p) {
  std::vector<Tap> taps;
  for (int64_t r = 0; r < p.kernel.h; ++r)
    for (int64_t s = 0; s < p.kernel.w; ++s)
      taps.push_back({r * p.dilation.h - p.padding.h, s * p.dilation.w - p.padding.w, r * p.kernel.w + s});
  return taps;
}

// The taps that reach input pixel (stride i + at) and the outputs they reach it from.
std::vector<Tap> gradient_taps(const DirectProblem& p, Pair at) {
  std::vector<Tap> taps;
  for (const Tap& tap : taps_of(p)) {
    const int64_t h = at.h - tap.h, w = at.w - tap.w;
    if (h % p.stride.h == 0 && w % p.stride.w == 0) taps.push_back({h / p.stride.h, w / p.stride.w, tap.index});
  }
  return taps;
}

// --- forward and backward-input --------------------------------------------------------------------------------------

// Outputs (out_step i + at), i over a grid, whose windows have the same taps.
struct Phase {
  Pair at = 0;
  std::vector<Tap> taps;
  Tensor weights = {};  // as arrange_weights leaves them
  std::vector<int32_t> offsets = {};
};

struct Walk {
  int64_t images, channels, filters;  // channels of what is read and of what is written
  Pair in, out;                       // their pixels
  Pair in_step, out_step;             // pixels between neighbours of the grid, in what is read and written
  std::vector<Phase> phases = {};
  Pair first = 0, last = 0;  // the taps' extent
  int64_t groups() const { return up(images, images_per_group); }
};

void set_extent(Walk& walk) {
  bool any = false;
  for (const Phase& phase : walk.phases)
    for (const Tap& tap : phase.taps) {
      const Pair at{tap.h, tap.w};
      walk.first = any ? Pair{std::min(walk.first.h, at.h), std::min(walk.first.w, at.w)} : at;
      walk.last = any ? Pair{std::max(walk.last.h, at.h), std::max(walk.last.w, at.w)} : at;
      any = true;
    }
}

// Rows or columns that n neighbours of the grid read.
int64_t reach(int64_t n, int64_t step, int64_t first, int64_t last) { return (n - 1) * step + last - first + 1; }

// Channels an odd number of cache lines apart spread over the sets of the caches.
int64_t spread(int64_t pixels) { return (pixels | 1) * line; }

// The walk's grid rows are taken in bands whose packed rows fit well into the second-level cache.
int64_t rows_of_band(const Walk& walk, int64_t rows, int64_t columns) {
  constexpr int64_t most = 160 << 10;  // bytes
  const int64_t row = walk.channels * columns * lanes * static_cast<int64_t>(sizeof(float));
  const int64_t fitting = (most / row - (walk.last.h - walk.first.h + 1)) / walk.in_step.h + 1;
  const int64_t per_thread = up(walk.groups() * rows, 2 * num_threads());
  const int64_t height = std::clamp<int64_t>(std::min(fitting, per_thread), 1, rows);
  return up(rows, up(rows, height));
}

// Offsets of the taps in a band, channel by channel.
void set_offsets(Walk& walk, int64_t columns, int64_t channel_stride) {
  for (Phase& phase : walk.phases)
    for (int64_t c = 0; c < walk.channels; ++c)
      for (const Tap& tap : phase.taps) {
        const int64_t pixel = (tap.h - walk.first.h) * columns + tap.w - walk.first.w;
        phase.offsets.push_back(static_cast<int32_t>(c * channel_stride + pixel * lanes));
      }
}

// The weights in the order of the offsets. Weight of filter k, channel c and tap t: w[k filter + c channel + t].
struct WeightStrides {
  int64_t filter, channel;
};
Tensor arrange(const std::vector<Tap>& taps, int64_t filters, int64_t channels, const DirectKernels& kernels,
               const float* w, WeightStrides strides) {
  std::vector<int32_t> sources;
  for (int64_t c = 0; c < channels; ++c)
    for (const Tap& tap : taps) sources.push_back(static_cast<int32_t>(c * strides.channel + tap.index));
  const int64_t count = static_cast<int64_t>(sources.size());
  const Tensor arranged = scratch(std::max<int64_t>(filters * count, 1));
  kernels.arrange_weights(w, filters, strides.filter, sources.data(), count, arranged.data<float>());
  return arranged;
}

// The planes of one group that are written, and what is done to the values on the way.
template <class T>
struct Output {
  int64_t images;
  const Epilogue<T>* epilogue;  // null without one
  T* planes;
};

// One row of the grid: `in` are the packed rows it reads.
template <class T>
void walk_row(const Walk& walk, const DirectKernels& kernels, int64_t i, const float* in, const Output<T>& out) {
  for (const Phase& phase : walk.phases) {
    const int64_t h = i * walk.out_step.h + phase.at.h;
    if (h >= walk.out.h || phase.at.w >= walk.out.w) continue;
    const WindowRow row{.in = in,
                        .in_step = walk.in_step.w * lanes,
                        .offsets = phase.offsets.data(),
                        .count = static_cast<int64_t>(phase.offsets.size()),
                        .weights = phase.weights.data<float>(),
                        .filters = walk.filters,
                        .outputs = up(walk.out.w - phase.at.w, walk.out_step.w),
                        .out_step = walk.out_step.w * lanes,
                        .out_stride = walk.out.h * walk.out.w * lanes,
                        .images = out.images};
    const int64_t at = (h * walk.out.w + phase.at.w) * lanes;
    Epilogue<T> epilogue = out.epilogue ? *out.epilogue : Epilogue<T>{};
    if (epilogue.residual) epilogue.residual += at;
    passes<T>(kernels).forward(row, out.epilogue ? &epilogue : nullptr, out.planes + at);
  }
}

template <class T>
void run(Walk& walk, const DirectKernels& kernels, const T* in, const Epilogue<T>* epilogue, T* out) {
  set_extent(walk);
  const int64_t rows = up(walk.out.h, walk.out_step.h);
  const int64_t columns = reach(up(walk.out.w, walk.out_step.w), walk.in_step.w, walk.first.w, walk.last.w);
  const int64_t height = rows_of_band(walk, rows, columns), bands = up(rows, height);
  const int64_t band_rows = reach(height, walk.in_step.h, walk.first.h, walk.last.h);
  const int64_t channel_stride = spread(band_rows * columns);
  set_offsets(walk, columns, channel_stride);
  const int64_t read = walk.channels * walk.in.h * walk.in.w * lanes;
  const int64_t written = walk.filters * walk.out.h * walk.out.w * lanes;
  parallel_for(walk.groups() * bands, 1, [&](int64_t begin, int64_t end) {
    const Tensor buffer = scratch(walk.channels * channel_stride);
    float* packed = buffer.data<float>();
    for (int64_t item = begin; item < end; ++item) {
      const int64_t group = item / bands, first = item % bands * height, last = std::min(first + height, rows);
      const Band band{.channels = walk.channels,
                      .height = walk.in.h,
                      .width = walk.in.w,
                      .top = first * walk.in_step.h + walk.first.h,
                      .left = walk.first.w,
                      .rows = reach(last - first, walk.in_step.h, walk.first.h, walk.last.h),
                      .columns = columns,
                      .channel_stride = channel_stride};
      passes<T>(kernels).pack(in + group * read, band, packed);
      Epilogue<T> of_group = epilogue ? *epilogue : Epilogue<T>{};
      if (of_group.residual) of_group.residual += group * written;
      const Output<T> to{std::min(images_per_group, walk.images - group * images_per_group),
                         epilogue ? &of_group : nullptr, out + group * written};
      for (int64_t i = first; i < last; ++i)
        walk_row(walk, kernels, i, packed + (i - first) * walk.in_step.h * columns * lanes, to);
    }
  });
}

}  // namespace

Tensor arrange_for_forward(const DirectProblem& p, const DirectKernels& kernels, const float* w) {
  const int64_t taps = p.kernel.h * p.kernel.w;
  return arrange(taps_of(p), p.filters, p.channels, kernels, w, {.filter = p.channels * taps, .channel = taps});
}

template <class T>
void forward(const DirectProblem& p, const DirectKernels& kernels, const T* x, const Tensor& arranged,
             const Epilogue<T>* epilogue, T* y) {
  Walk walk{.images = p.images,
            .channels = p.channels,
            .filters = p.filters,
            .in = p.in,
            .out = p.out,
            .in_step = p.stride,
            .out_step = 1,
            .phases = {{.taps = taps_of(p), .weights = arranged}}};
  run(walk, kernels, x, epilogue, y);
}

template <class T>
void backward_input(const DirectProblem& p, const DirectKernels& kernels, const T* dy, const float* w, bool add,
                    T* dx) {
  const int64_t taps = p.kernel.h * p.kernel.w;
  Walk walk{.images = p.images,
            .channels = p.filters,
            .filters = p.channels,
            .in = p.out,
            .out = p.in,
            .in_step = 1,
            .out_step = p.stride};
  for (int64_t h = 0; h < p.stride.h; ++h)
    for (int64_t v = 0; v < p.stride.w; ++v) {
      std::vector<Tap> reached = gradient_taps(p, {h, v});
      Tensor weights =
          arrange(reached, p.channels, p.filters, kernels, w, {.filter = taps, .channel = p.channels * taps});
      walk.phases.push_back({.at = {h, v}, .taps = std::move(reached), .weights = std::move(weights)});
    }
  const Epilogue<T> onto{.residual = dx};
  run(walk, kernels, dy, add ? &onto : nullptr, dx);
}

// --- backward-weight -------------------------------------------------------------------------------------------------

namespace {

// The sums of `steps` [begin, end): step i is rows [i rows, ...) of the outputs, group by group.
struct GradientSteps {
  int64_t rows, per_group;
  int64_t columns, x_stride, dy_stride;  // of the packed bands
  std::vector<int32_t> offsets, windows;
};

GradientSteps gradient_steps(const DirectProblem& p) {
  constexpr int64_t pixels = 32;  // a step's block of sums pays for being read and written; its operands fit the cache
  const int64_t height = std::clamp<int64_t>(up(pixels, p.out.w), 1, p.out.h);
  GradientSteps steps{.rows = up(p.out.h, up(p.out.h, height)),
                      .per_group = 0,
                      .columns = reach(p.out.w, p.stride.w, 0, (p.kernel.w - 1) * p.dilation.w),
                      .x_stride = 0,
                      .dy_stride = 0,
                      .offsets = {},
                      .windows = {}};
  steps.per_group = up(p.out.h, steps.rows);
  steps.x_stride = spread(reach(steps.rows, p.stride.h, 0, (p.kernel.h - 1) * p.dilation.h) * steps.columns);
  steps.dy_stride = spread(steps.rows * p.out.w);
  for (int64_t c = 0; c < p.channels; ++c)
    for (const Tap& tap : taps_of(p)) {
      const int64_t pixel = (tap.h + p.padding.h) * steps.columns + tap.w + p.padding.w;
      steps.offsets.push_back(static_cast<int32_t>(c * steps.x_stride + pixel * lanes));
    }
  for (int64_t i = 0; i < steps.rows; ++i)
    for (int64_t j = 0; j < p.out.w; ++j)
      steps.windows.push_back(static_cast<int32_t>((i * p.stride.h * steps.columns + j * p.stride.w) * lanes));
  return steps;
}

// sums (filters, taps, width) += the products of steps [begin, end).
template <class T>
void sum_steps(const DirectProblem& p, const GradientSteps& steps, const DirectKernels& kernels, const T* dy,
               const T* x, int64_t begin, int64_t end, float* sums) {
  const Tensor x_band = scratch(p.channels * steps.x_stride), dy_band = scratch(p.filters * steps.dy_stride);
  for (int64_t step = begin; step < end; ++step) {
    const int64_t group = step / steps.per_group, first = step % steps.per_group * steps.rows;
    const int64_t rows = std::min(steps.rows, p.out.h - first);
    passes<T>(kernels).pack(x + group * p.channels * p.in.h * p.in.w * lanes,
                            {.channels = p.channels,
                             .height = p.in.h,
                             .width = p.in.w,
                             .top = first * p.stride.h - p.padding.h,
                             .left = -p.padding.w,
                             .rows = reach(rows, p.stride.h, 0, (p.kernel.h - 1) * p.dilation.h),
                             .columns = steps.columns,
                             .channel_stride = steps.x_stride},
                            x_band.data<float>());
    passes<T>(kernels).pack(dy + group * p.filters * p.out.h * p.out.w * lanes,
                            {.channels = p.filters,
                             .height = p.out.h,
                             .width = p.out.w,
                             .top = first,
                             .left = 0,
                             .rows = rows,
                             .columns = p.out.w,
                             .channel_stride = steps.dy_stride},
                            dy_band.data<float>());
    kernels.backward_weight({.in = x_band.data<float>(),
                             .windows = steps.windows.data(),
                             .offsets = steps.offsets.data(),
                             .count = static_cast<int64_t>(steps.offsets.size()),
                             .dy = dy_band.data<float>(),
                             .filters = p.filters,
                             .dy_stride = steps.dy_stride,
                             .pixels = rows * p.out.w},
                            sums);
  }
}

}  // namespace

template <class T>
void backward_weight(const DirectProblem& p, const DirectKernels& kernels, const T* dy, const T* x, float* dw) {
  const GradientSteps steps = gradient_steps(p);
  const int64_t total = p.groups() * steps.per_group;
  // Fixed by the problem alone, so that any number of threads adds the same numbers in the same order; short enough
  // that a lane's chain of additions stays within some thousands.
  const int64_t pieces = std::min(total, std::clamp<int64_t>(p.groups(), 8, 64));
  const int64_t weights = p.filters * static_cast<int64_t>(steps.offsets.size());
  const Tensor partial = scratch(pieces * weights);
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    const Tensor sums = scratch(weights * kernels.width);
    for (int64_t piece = begin; piece < end; ++piece) {
      std::fill_n(sums.data<float>(), weights * kernels.width, 0.0f);
      sum_steps(p, steps, kernels, dy, x, total * piece / pieces, total * (piece + 1) / pieces, sums.data<float>());
      kernels.sum_lanes(sums.data<float>(), weights, partial.data<float>() + piece * weights);
    }
  });
  std::copy_n(partial.data<float>(), weights, dw);
  for (int64_t piece = 1; piece < pieces; ++piece)
    for (int64_t i = 0; i < weights; ++i) dw[i] += partial.data<float>()[piece * weights + i];
}

#define INSTANTIATE(T)                                                                                                \
  template void forward(const DirectProblem&, const DirectKernels&, const T*, const Tensor&, const Epilogue<T>*, T*); \
  template void backward_input(const DirectProblem&, const DirectKernels&, const T*, const float*, bool, T*);         \
  template void backward_weight(const DirectProblem&, const DirectKernels&, const T*, const T*, float*);
INSTANTIATE(float)
INSTANTIATE(uint16_t)
#undef INSTANTIATE

}  // namespace engine::cpu::lanes
