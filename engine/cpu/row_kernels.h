// The loops where most of the memory traffic of training goes, over plain pointers. One source (row_kernels.cpp) is
// compiled once per instruction set; row_kernels() is the best one this processor has.
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"

namespace engine::cpu {

// Over matrices of `rows` rows with `channels` values each (channels innermost), as channels_last tensors are. T is how
// values are stored: float, or uint16_t for the bits of a bfloat16; arithmetic and per-channel values are f32.
template <class T>
struct RowPasses {
  void (*add)(const T* a, const T* b, int64_t n, T* y);
  // sum[c] += x - shift, squares[c] += (x - shift)^2, over the rows. The shift keeps the squares from cancelling.
  void (*sums)(const T* x, const float* shift, int64_t rows, int64_t channels, float* sum, float* squares);
  // y = relu?(x scale + shift + residual?)
  void (*normalize)(const T* x, const float* scale, const float* shift, const T* residual, bool relu, int64_t rows,
                    int64_t channels, T* y);
  // g = dy where y > 0 (everywhere when y is null); sum_g[c] += g, sum_gx[c] += g (x - mean)
  void (*backward_sums)(const T* x, const T* y, const T* dy, const float* mean, int64_t rows, int64_t channels,
                        float* sum_g, float* sum_gx);
  // dx = a g + b x + c, and dresidual = g unless it is null
  void (*backward_input)(const T* x, const T* y, const T* dy, const float* a, const float* b, const float* c,
                         int64_t rows, int64_t channels, T* dx, T* dresidual);
};

struct RowKernels {
  const char* isa;  // "avx512", "avx2" or "baseline"
  RowPasses<float> f32;
  RowPasses<uint16_t> bf16;

  // v = momentum v + (g + decay p);  p -= lr (nesterov ? g + decay p + momentum v : v)
  void (*sgd)(float* p, const float* g, float* v, int64_t n, float lr, float momentum, float decay, bool nesterov);
};

RIDE_PER_ISA(RowKernels, row_kernels)

}  // namespace engine::cpu
