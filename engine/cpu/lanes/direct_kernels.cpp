// Direct sums, with stride s and padding p, over the pixels that x has:
//
//   y[k](i, j) = sum over c, a, b of w[k][c](a, b) x[c](s i + a - p, s j + b - p)
//   dw[k][c](a, b) = sum over i, j and lanes of dy[k](i, j) x[c](s i + a - p, s j + b - p)
//   dx[c](i, j): as y, over the filters and the taps that reach the position
//
// Compiled once per instruction set. Registers hold a block of results throughout its sum; a block's operands come from
// packed rows, which fit the caches whatever the planes' sizes.
#include "engine/cpu/lanes/direct_kernels.h"

#include "engine/cpu/lanes/vec.h"

namespace engine::cpu::lanes::RIDE_ISA {
namespace {

// --- packing
// ------------------------------------------------------------------------------------------------------------

RIDE_INLINE void clear(float* out, int64_t pixels) {
  for (int64_t at = 0; at < pixels * lanes; at += width) store(out + at, zero());
}

template <class T>
void pack(const T* x, const Band& band, float* out) {
  const int64_t right = band.left + band.columns;
  const int64_t begin = band.left < 0 ? 0 : band.left, end = right < band.width ? right : band.width;
  const int64_t plane = band.height * band.width * lanes;
  for (int64_t c = 0; c < band.channels; ++c, x += plane) {
    float* to = out + c * band.channel_stride;
    for (int64_t r = 0; r < band.rows; ++r, to += band.columns * lanes) {
      const int64_t h = band.top + r;
      if (h < 0 || h >= band.height || begin >= end) {
        clear(to, band.columns);
        continue;
      }
      clear(to, begin - band.left);
      clear(to + (end - band.left) * lanes, right - end);
      const T* from = x + (h * band.width + begin) * lanes;
      float* inside = to + (begin - band.left) * lanes;
      for (int64_t at = 0; at < (end - begin) * lanes; at += lanes) {
        __builtin_prefetch(from + at + plane);  // the next channel's; past the last one it is ignored
        RIDE_UNROLL for (int part = 0; part < parts; ++part)
            store(inside + at + part * width, load(from + at + part * width));
      }
    }
  }
}

// --- forward
// ------------------------------------------------------------------------------------------------------------

// Filters are taken in nearly even blocks of at most this many, so that no channel count wastes registers.
constexpr int max_filters = 6;
constexpr int across = registers / 8;  // vectors side by side: of one pixel or of neighbours

RIDE_INLINE int64_t blocks_of(int64_t n, int64_t most) { return (n + most - 1) / most; }

void arrange_weights(const float* w, int64_t filters, int64_t filter_stride, const int32_t* sources, int64_t count,
                     float* out) {
  const int64_t blocks = blocks_of(filters, max_filters);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = filters * b / blocks, end = filters * (b + 1) / blocks;
    for (int64_t l = 0; l < count; ++l)
      for (int64_t k = begin; k < end; ++k) *out++ = w[k * filter_stride + sources[l]];
  }
}

// Where a row's outputs go, and what is done to them on the way.
template <class T>
struct Target {
  T* y;
  const Epilogue<T>* epilogue;  // null without one
};

// Vectors side by side: their windows, their place in a channel of the row, and the first one's part of its pixel.
struct Step {
  const float* in;
  int64_t at;
  int part;
};

template <class T>
RIDE_INLINE V finish(V v, const Epilogue<T>& e, int64_t filter, int64_t at, const I& mask) {
  if (e.bias) v += all(e.bias[filter]);
  if (e.residual) v += load(e.residual + at);
  if (e.relu) v = relu(v);
  return where(mask, v);
}

// `side` vectors of `block` filters from the first one on; vector v is v / parts pixels from the step's first.
template <int block, int side, class T>
void forward_block(const Step& step, const WindowRow& row, int64_t first, const Target<T>& to) {
  const float* weights = row.weights + first * row.count;
  V sum[block][side];
  RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int v = 0; v < side; ++v) sum[k][v] = zero();
  for (const int32_t *tap = row.offsets, *end = tap + row.count; tap != end; ++tap, weights += block) {
    V x[side];
    RIDE_UNROLL for (int v = 0; v < side; ++v) x[v] =
        load(step.in + *tap + (v / parts) * row.in_step + (v % parts) * width);
    RIDE_UNROLL for (int k = 0; k < block; ++k) {
      const V weight = all(weights[k]);
      RIDE_UNROLL for (int v = 0; v < side; ++v) sum[k][v] += weight * x[v];
    }
  }
  const int64_t at = first * row.out_stride + step.at;
  if (to.epilogue) RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int v = 0; v < side; ++v) {
      const int64_t here = at + k * row.out_stride + (v / parts) * row.out_step + (v % parts) * width;
      sum[k][v] = finish(sum[k][v], *to.epilogue, first + k, here, existing(row.images, (step.part + v) % parts));
    }
  RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int v = 0; v < side; ++v)
      store(to.y + at + k * row.out_stride + (v / parts) * row.out_step + (v % parts) * width, sum[k][v]);
}

// All filters of `side` vectors. Their windows stay in the first-level cache while the weights stream by.
template <int side, class T>
void forward_filters(const Step& step, const WindowRow& row, const Target<T>& to) {
  const int64_t blocks = blocks_of(row.filters, max_filters);
  for (int64_t b = 0; b < blocks; ++b) {
    const int64_t begin = row.filters * b / blocks, end = row.filters * (b + 1) / blocks;
    switch (end - begin) {
      case 1: forward_block<1, side>(step, row, begin, to); break;
      case 2: forward_block<2, side>(step, row, begin, to); break;
      case 3: forward_block<3, side>(step, row, begin, to); break;
      case 4: forward_block<4, side>(step, row, begin, to); break;
      case 5: forward_block<5, side>(step, row, begin, to); break;
      default: forward_block<max_filters, side>(step, row, begin, to);
    }
  }
}

template <class T>
void forward(const WindowRow& row, const Epilogue<T>* epilogue, T* y) {
  constexpr int pixels = across > parts ? across / parts : 1;  // of one step
  const Target<T> to{y, epilogue};
  const float* in = row.in;
  int64_t q = 0;
  for (; q + pixels <= row.outputs; q += pixels, in += pixels * row.in_step)
    for (int v = 0; v < pixels * parts; v += across)
      forward_filters<across>(Step{in + v * width, q * row.out_step + v * width, v % parts}, row, to);
  if constexpr (pixels > 1)
    for (; q < row.outputs; ++q, in += row.in_step) forward_filters<parts>(Step{in, q * row.out_step, 0}, row, to);
}

// --- backward-weight
// ------------------------------------------------------------------------------------------------------

constexpr int gradient_filters = 4;
constexpr int gradient_taps = registers == 32 ? 6 : 3;

// One block of sums over all pixels: one long loop instead of one for each row.
template <int filters, int taps>
void backward_block(const WindowGradients& g, const int32_t* offsets, const float* dy, float* sums) {
  V sum[filters][taps];
  RIDE_UNROLL for (int k = 0; k < filters; ++k) RIDE_UNROLL for (int l = 0; l < taps; ++l) sum[k][l] =
      load(sums + (k * g.count + l) * width);
  const float* in[taps];
  RIDE_UNROLL for (int l = 0; l < taps; ++l) in[l] = g.in + offsets[l];
  for (const int32_t *window = g.windows, *end = window + g.pixels; window != end; ++window, dy += lanes)
    RIDE_UNROLL for (int part = 0; part < parts; ++part) {
      V x[taps];
      RIDE_UNROLL for (int l = 0; l < taps; ++l) x[l] = load(in[l] + *window + part * width);
      RIDE_UNROLL for (int k = 0; k < filters; ++k) {
        const V d = load(dy + k * g.dy_stride + part * width);
        RIDE_UNROLL for (int l = 0; l < taps; ++l) sum[k][l] += d * x[l];
      }
    }
  RIDE_UNROLL for (int k = 0; k < filters; ++k) RIDE_UNROLL for (int l = 0; l < taps; ++l)
      store(sums + (k * g.count + l) * width, sum[k][l]);
}

template <int taps>
void backward_filters(const WindowGradients& g, const int32_t* offsets, int64_t filters, const float* dy, float* sums) {
  switch (filters) {
    case 1: return backward_block<1, taps>(g, offsets, dy, sums);
    case 2: return backward_block<2, taps>(g, offsets, dy, sums);
    case 3: return backward_block<3, taps>(g, offsets, dy, sums);
    default: return backward_block<gradient_filters, taps>(g, offsets, dy, sums);
  }
}

void backward_taps(const WindowGradients& g, const int32_t* offsets, int64_t taps, int64_t filters, const float* dy,
                   float* sums) {
  switch (taps) {
    case 1: return backward_filters<1>(g, offsets, filters, dy, sums);
    case 2: return backward_filters<2>(g, offsets, filters, dy, sums);
    case 3: return backward_filters<3>(g, offsets, filters, dy, sums);
#if RIDE_VECTOR_REGISTERS == 32
    case 4: return backward_filters<4>(g, offsets, filters, dy, sums);
    case 5: return backward_filters<5>(g, offsets, filters, dy, sums);
    default: return backward_filters<6>(g, offsets, filters, dy, sums);
#endif
  }
}

// The gradients of a few filters stay in the first-level cache while the windows stream by.
void backward_weight(const WindowGradients& g, float* sums) {
  constexpr int64_t cached = 16 << 10;  // bytes
  const int64_t pixels = g.pixels * lanes * static_cast<int64_t>(sizeof(float));
  const int64_t fitting = cached / pixels / gradient_filters * gradient_filters;
  const int64_t chunk = fitting < gradient_filters ? gradient_filters : fitting;
  const int64_t blocks = blocks_of(g.count, gradient_taps);
  for (int64_t from = 0; from < g.filters; from += chunk) {
    const int64_t to = from + chunk < g.filters ? from + chunk : g.filters;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t tap = g.count * b / blocks, taps = g.count * (b + 1) / blocks - tap;
      for (int64_t k = from; k < to; k += gradient_filters)
        backward_taps(g, g.offsets + tap, taps, to - k, g.dy + k * g.dy_stride, sums + (k * g.count + tap) * width);
    }
  }
}

void sum_lanes(const float* sums, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    V v[4];
    RIDE_UNROLL for (int j = 0; j < 4; ++j) {
      v[j] = load(sums + (i + j) * width);
      out[i + j] = 0;
    }
    add_sums(v, out + i);
  }
  for (; i < n; ++i) out[i] = sum(load(sums + i * width));
}

template <class T>
constexpr DirectPasses<T> passes = {pack<T>, forward<T>};

}  // namespace

const DirectKernels direct_kernels = {width, arrange_weights, backward_weight, sum_lanes, passes<float>, passes<bf16>};

}  // namespace engine::cpu::lanes::RIDE_ISA
