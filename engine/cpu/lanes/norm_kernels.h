// Batch normalisation's loops in batch_lanes, over plain pointers. One source (norm_kernels.cpp) is compiled once per
// instruction set; lane_norm_kernels() is the best one this processor has.
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"

namespace engine::cpu {

// All work on a run: the pixels of one channel of one group, `pixels` times sixteen values side by side. T is float, or
// uint16_t for the bits of bfloat16; arithmetic is f32. Sums are per lane, over the pixels.
//
// ReLU's gradient passes where its output was positive. That is read from y, or found again from x, which is read
// anyway: y = x scale + shift where nothing else was added.
template <class T>
struct LaneGate {
  enum { open, by_output, by_input } kind = open;
  const T* y = nullptr;        // by_output
  float scale = 1, shift = 0;  // by_input
};

template <class T>
struct LaneNormFunctions {
  // sum[lane] = sum of x - shift, squares[lane] = sum of (x - shift)^2. The shift keeps the squares from cancelling.
  void (*sums)(const T* x, float shift, int64_t pixels, float* sum, float* squares);
  // y = relu?(x scale + shift + residual?) in the first `images` lanes, 0 in the others.
  void (*normalize)(const T* x, float scale, float shift, const T* residual, bool relu, int images, int64_t pixels,
                    T* y);
  // g = dy where the gate is open; sum_g[lane] = sum of g, sum_gx[lane] = sum of g (x - mean). `passed` gets g unless
  // it is null.
  void (*backward_sums)(const T* x, LaneGate<T> gate, const T* dy, float mean, int64_t pixels, T* passed, float* sum_g,
                        float* sum_gx);
  // dx = a g + b x + c in the first `images` lanes, 0 in the others.
  void (*backward_input)(const T* x, LaneGate<T> gate, const T* dy, float a, float b, float c, int images,
                         int64_t pixels, T* dx);
};

struct LaneNormKernels {
  const char* isa;
  LaneNormFunctions<float> f32;
  LaneNormFunctions<uint16_t> bf16;
};

RIDE_PER_ISA(LaneNormKernels, lane_norm_kernels)

}  // namespace engine::cpu
