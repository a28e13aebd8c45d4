// Compiled once per instruction set with RIDE_ISA set to its name. Includes nothing with inline functions: those would
// be compiled for this instruction set too, and the linker could hand them to code that runs on any machine.
#include "engine/cpu/row_kernels.h"

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

namespace engine::cpu {
namespace {

// bfloat16 is the upper half of a float.
inline float wide(float x) { return x; }
inline float wide(uint16_t x) { return __builtin_bit_cast(float, static_cast<uint32_t>(x) << 16); }
// As engine/core/dtype.h rounds: to nearest, ties to even, NaN stays NaN.
inline void put(float x, float& to) { to = x; }
inline void put(float x, uint16_t& to) {
  const uint32_t u = __builtin_bit_cast(uint32_t, x), rounded = u + 0x7fff + ((u >> 16) & 1);
  to = static_cast<uint16_t>((x == x ? rounded : u | 0x400000) >> 16);
}

template <class T>
void add(const T* a, const T* b, int64_t n, T* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) put(wide(a[i]) + wide(b[i]), y[i]);
}

// Two rows at a time, so that the sums are loaded and stored once for two additions; rows half the matrix apart, so
// that they are two long streams that the processor foresees.
template <class T>
void sums(const T* __restrict x, const float* __restrict shift, int64_t rows, int64_t channels, float* __restrict sum,
          float* __restrict squares) {
  const int64_t half = rows / 2;
  const T* far = x + half * channels;
  for (int64_t r = 0; r < half; ++r, x += channels, far += channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const float d0 = wide(x[c]) - shift[c], d1 = wide(far[c]) - shift[c];
      sum[c] += d0 + d1;
      squares[c] += d0 * d0 + d1 * d1;
    }
  }
  if (rows % 2)
    for (int64_t c = 0; c < channels; ++c) {
      const float d = wide(far[c]) - shift[c];
      sum[c] += d;
      squares[c] += d * d;
    }
}

template <bool has_residual, bool relu, class T>
void normalize_as(const T* __restrict x, const float* __restrict scale, const float* __restrict shift,
                  const T* __restrict residual, int64_t rows, int64_t channels, T* __restrict y) {
  for (int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      float v = wide(x[c]) * scale[c] + shift[c];
      if (has_residual) v += wide(residual[c]);
      put(relu && v <= 0 ? 0 : v, y[c]);
    }
    x += channels;
    y += channels;
    if (has_residual) residual += channels;
  }
}

template <class T>
void normalize(const T* x, const float* scale, const float* shift, const T* residual, bool relu, int64_t rows,
               int64_t channels, T* y) {
  if (residual && relu)
    normalize_as<true, true>(x, scale, shift, residual, rows, channels, y);
  else if (residual)
    normalize_as<true, false>(x, scale, shift, residual, rows, channels, y);
  else if (relu)
    normalize_as<false, true>(x, scale, shift, residual, rows, channels, y);
  else
    normalize_as<false, false>(x, scale, shift, residual, rows, channels, y);
}

// The gradient behind a ReLU whose result was y. dy is read either way, so that the loop has no branch.
template <bool relu, class T>
inline float masked(const T* y, const T* dy, int64_t i) {
  const float g = wide(dy[i]);
  return !relu || wide(y[i]) > 0 ? g : 0;
}

template <bool relu, class T>
void backward_sums_as(const T* __restrict x, const T* __restrict y, const T* __restrict dy,
                      const float* __restrict mean, int64_t rows, int64_t channels, float* __restrict sum_g,
                      float* __restrict sum_gx) {
  const int64_t half = rows / 2, away = half * channels;
  for (int64_t r = 0; r < half; ++r, x += channels, dy += channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const float g0 = masked<relu>(y, dy, c);
      const float g1 = masked<relu>(y, dy, c + away);
      sum_g[c] += g0 + g1;
      sum_gx[c] += g0 * (wide(x[c]) - mean[c]) + g1 * (wide(x[c + away]) - mean[c]);
    }
    if (relu) y += channels;
  }
  if (rows % 2)
    for (int64_t c = 0; c < channels; ++c) {
      const float g = masked<relu>(y, dy, c + away);
      sum_g[c] += g;
      sum_gx[c] += g * (wide(x[c + away]) - mean[c]);
    }
}

template <class T>
void backward_sums(const T* x, const T* y, const T* dy, const float* mean, int64_t rows, int64_t channels, float* sum_g,
                   float* sum_gx) {
  if (y)
    backward_sums_as<true>(x, y, dy, mean, rows, channels, sum_g, sum_gx);
  else
    backward_sums_as<false>(x, y, dy, mean, rows, channels, sum_g, sum_gx);
}

template <bool relu, bool has_residual, class T>
void backward_input_as(const T* __restrict x, const T* __restrict y, const T* __restrict dy, const float* __restrict a,
                       const float* __restrict b, const float* __restrict c, int64_t rows, int64_t channels,
                       T* __restrict dx, T* __restrict dresidual) {
  for (int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (int64_t i = 0; i < channels; ++i) {
      const float g = masked<relu>(y, dy, i);
      put(a[i] * g + b[i] * wide(x[i]) + c[i], dx[i]);
      if (has_residual) put(g, dresidual[i]);
    }
    x += channels;
    dy += channels;
    dx += channels;
    if (relu) y += channels;
    if (has_residual) dresidual += channels;
  }
}

template <class T>
void backward_input(const T* x, const T* y, const T* dy, const float* a, const float* b, const float* c, int64_t rows,
                    int64_t channels, T* dx, T* dresidual) {
  if (y && dresidual)
    backward_input_as<true, true>(x, y, dy, a, b, c, rows, channels, dx, dresidual);
  else if (y)
    backward_input_as<true, false>(x, y, dy, a, b, c, rows, channels, dx, dresidual);
  else if (dresidual)
    backward_input_as<false, true>(x, y, dy, a, b, c, rows, channels, dx, dresidual);
  else
    backward_input_as<false, false>(x, y, dy, a, b, c, rows, channels, dx, dresidual);
}

template <class T>
constexpr RowPasses<T> passes = {add<T>, sums<T>, normalize<T>, backward_sums<T>, backward_input<T>};

void sgd(float* __restrict p, const float* __restrict g, float* __restrict v, int64_t n, float lr, float momentum,
         float decay, bool nesterov) {
  const float ahead = nesterov ? momentum : 1, now = nesterov ? 1 : 0;
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float d = g[i] + decay * p[i];
    v[i] = momentum * v[i] + d;
    p[i] -= lr * (now * d + ahead * v[i]);
  }
}

}  // namespace

const RowKernels RIDE_ISA::row_kernels = {TEXT(RIDE_ISA), passes<float>, passes<uint16_t>, sgd};

}  // namespace engine::cpu
