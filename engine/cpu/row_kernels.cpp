// Compiled once per instruction set with RIDE_ISA set to its name. Includes nothing with inline functions: those would
// be compiled for this instruction set too, and the linker could hand them to code that runs on any machine.
#include "engine/cpu/row_kernels.h"

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

namespace engine::cpu {
namespace {

void add(const float* a, const float* b, int64_t n, float* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

// As engine/core/dtype.h converts: bfloat16 is the upper half of a float; to nearest, ties to even, NaN stays NaN.
void add_bf16(const uint16_t* a, const uint16_t* b, int64_t n, uint16_t* y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const float sum = __builtin_bit_cast(float, static_cast<uint32_t>(a[i]) << 16) +
                      __builtin_bit_cast(float, static_cast<uint32_t>(b[i]) << 16);
    const uint32_t u = __builtin_bit_cast(uint32_t, sum);
    const uint32_t rounded = u + 0x7fff + ((u >> 16) & 1);
    y[i] = static_cast<uint16_t>((sum == sum ? rounded : u | 0x400000) >> 16);
  }
}

// Two rows at a time, so that the sums are loaded and stored once for two additions; rows half the matrix apart, so
// that they are two long streams that the processor foresees.
void sums(const float* __restrict x, const float* __restrict shift, int64_t rows, int64_t channels,
          float* __restrict sum, float* __restrict squares) {
  const int64_t half = rows / 2;
  const float* far = x + half * channels;
  for (int64_t r = 0; r < half; ++r, x += channels, far += channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const float d0 = x[c] - shift[c], d1 = far[c] - shift[c];
      sum[c] += d0 + d1;
      squares[c] += d0 * d0 + d1 * d1;
    }
  }
  if (rows % 2)
    for (int64_t c = 0; c < channels; ++c) {
      const float d = far[c] - shift[c];
      sum[c] += d;
      squares[c] += d * d;
    }
}

template <bool has_residual, bool relu>
void normalize_as(const float* __restrict x, const float* __restrict scale, const float* __restrict shift,
                  const float* __restrict residual, int64_t rows, int64_t channels, float* __restrict y) {
  for (int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      float v = x[c] * scale[c] + shift[c];
      if (has_residual) v += residual[c];
      y[c] = relu && v <= 0 ? 0 : v;
    }
    x += channels;
    y += channels;
    if (has_residual) residual += channels;
  }
}

void normalize(const float* x, const float* scale, const float* shift, const float* residual, bool relu, int64_t rows,
               int64_t channels, float* y) {
  if (residual && relu)
    normalize_as<true, true>(x, scale, shift, residual, rows, channels, y);
  else if (residual)
    normalize_as<true, false>(x, scale, shift, residual, rows, channels, y);
  else if (relu)
    normalize_as<false, true>(x, scale, shift, residual, rows, channels, y);
  else
    normalize_as<false, false>(x, scale, shift, residual, rows, channels, y);
}

template <bool relu>
void backward_sums_as(const float* __restrict x, const float* __restrict y, const float* __restrict dy,
                      const float* __restrict mean, int64_t rows, int64_t channels, float* __restrict sum_g,
                      float* __restrict sum_gx) {
  const int64_t half = rows / 2, away = half * channels;
  for (int64_t r = 0; r < half; ++r, x += channels, dy += channels) {
#pragma omp simd
    for (int64_t c = 0; c < channels; ++c) {
      const float g0 = !relu || y[c] > 0 ? dy[c] : 0, g1 = !relu || y[c + away] > 0 ? dy[c + away] : 0;
      sum_g[c] += g0 + g1;
      sum_gx[c] += g0 * (x[c] - mean[c]) + g1 * (x[c + away] - mean[c]);
    }
    if (relu) y += channels;
  }
  if (rows % 2)
    for (int64_t c = away; c < away + channels; ++c) {
      const float g = !relu || y[c] > 0 ? dy[c] : 0;
      sum_g[c - away] += g;
      sum_gx[c - away] += g * (x[c] - mean[c - away]);
    }
}

void backward_sums(const float* x, const float* y, const float* dy, const float* mean, int64_t rows, int64_t channels,
                   float* sum_g, float* sum_gx) {
  if (y)
    backward_sums_as<true>(x, y, dy, mean, rows, channels, sum_g, sum_gx);
  else
    backward_sums_as<false>(x, y, dy, mean, rows, channels, sum_g, sum_gx);
}

template <bool relu, bool has_residual>
void backward_input_as(const float* __restrict x, const float* __restrict y, const float* __restrict dy,
                       const float* __restrict a, const float* __restrict b, const float* __restrict c, int64_t rows,
                       int64_t channels, float* __restrict dx, float* __restrict dresidual) {
  for (int64_t r = 0; r < rows; ++r) {
#pragma omp simd
    for (int64_t i = 0; i < channels; ++i) {
      const float g = !relu || y[i] > 0 ? dy[i] : 0;
      dx[i] = a[i] * g + b[i] * x[i] + c[i];
      if (has_residual) dresidual[i] = g;
    }
    x += channels;
    dy += channels;
    dx += channels;
    if (relu) y += channels;
    if (has_residual) dresidual += channels;
  }
}

void backward_input(const float* x, const float* y, const float* dy, const float* a, const float* b, const float* c,
                    int64_t rows, int64_t channels, float* dx, float* dresidual) {
  if (y && dresidual)
    backward_input_as<true, true>(x, y, dy, a, b, c, rows, channels, dx, dresidual);
  else if (y)
    backward_input_as<true, false>(x, y, dy, a, b, c, rows, channels, dx, dresidual);
  else if (dresidual)
    backward_input_as<false, true>(x, y, dy, a, b, c, rows, channels, dx, dresidual);
  else
    backward_input_as<false, false>(x, y, dy, a, b, c, rows, channels, dx, dresidual);
}

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

const RowKernels RIDE_ISA::row_kernels = {TEXT(RIDE_ISA), add,           add_bf16,       sums,
                                          normalize,      backward_sums, backward_input, sgd};

}  // namespace engine::cpu
