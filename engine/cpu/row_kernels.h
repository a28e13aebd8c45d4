// The f32 loops where most of the memory traffic of training goes, over plain pointers. One source (row_kernels.cpp) is
// compiled once per instruction set; row_kernels() is the best one this processor has.
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"

namespace engine::cpu {

// A matrix of `rows` rows with `channels` floats each (channels innermost), as channels_last tensors are.
struct RowKernels {
  const char* isa;  // "avx512", "avx2" or "baseline"

  void (*add)(const float* a, const float* b, int64_t n, float* y);
  // The same on the bits of bfloat16 values, in f32 and rounded once.
  void (*add_bf16)(const uint16_t* a, const uint16_t* b, int64_t n, uint16_t* y);

  // sum[c] += x - shift, squares[c] += (x - shift)^2, over the rows. The shift keeps the squares from cancelling.
  void (*sums)(const float* x, const float* shift, int64_t rows, int64_t channels, float* sum, float* squares);
  // y = relu?(x scale + shift + residual?)
  void (*normalize)(const float* x, const float* scale, const float* shift, const float* residual, bool relu,
                    int64_t rows, int64_t channels, float* y);
  // g = dy where y > 0 (everywhere when y is null); sum_g[c] += g, sum_gx[c] += g (x - mean)
  void (*backward_sums)(const float* x, const float* y, const float* dy, const float* mean, int64_t rows,
                        int64_t channels, float* sum_g, float* sum_gx);
  // dx = a g + b x + c, and dresidual = g unless it is null
  void (*backward_input)(const float* x, const float* y, const float* dy, const float* a, const float* b,
                         const float* c, int64_t rows, int64_t channels, float* dx, float* dresidual);

  // v = momentum v + (g + decay p);  p -= lr (nesterov ? g + decay p + momentum v : v)
  void (*sgd)(float* p, const float* g, float* v, int64_t n, float lr, float momentum, float decay, bool nesterov);
};

RIDE_PER_ISA(RowKernels, row_kernels)

}  // namespace engine::cpu
