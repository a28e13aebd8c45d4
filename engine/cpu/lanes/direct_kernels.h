// Direct convolution over sixteen-image groups: the inner loops of any kernel size, stride, padding and dilation,
// compiled once per instruction set. direct_passes.h plans them.
//
// Every direction is a walk over windows. A window is a list of `count` offsets (floats) from a moving pointer into
// packed rows; the order of the offsets is the caller's, one for each pair of an input channel and a tap.
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"
#include "engine/cpu/lanes/epilogue.h"

namespace engine::cpu::lanes {

// Rows of a group's planes, packed: f32, with a border of zeros where they lie outside the image.
struct Band {
  int64_t channels, height, width;  // of the planes they come from
  int64_t top, left;                // first row and column, perhaps outside the image
  int64_t rows, columns;
  int64_t channel_stride;  // floats between channels of the band; the pixels of a channel are dense
};

// A row of outputs, each the product of its window of a band with the weights.
struct WindowRow {
  const float* in;         // the first output's window
  int64_t in_step;         // floats between two neighbours' windows
  const int32_t* offsets;  // (count)
  int64_t count;
  const float* weights;  // as `arrange_weights` leaves them
  int64_t filters;       // channels of the output
  int64_t outputs;
  int64_t out_step, out_stride;  // values between neighbouring outputs, and between channels
  int64_t images;                // of the group: what an epilogue adds stays out of the other lanes
};

// Gradients of outputs and the windows they were computed from.
struct WindowGradients {
  const float* in;
  const int32_t* windows;  // (pixels) floats from `in` to each output's window
  const int32_t* offsets;  // (count)
  int64_t count;
  const float* dy;             // (filters, pixels, 16)
  int64_t filters, dy_stride;  // floats between dy's channels
  int64_t pixels;
};

template <class T>
struct DirectPasses {
  // The band of x, one group's planes, to `out`.
  void (*pack)(const T* x, const Band& band, float* out);
  // y[k][q] = sum_l weights[k][l] in[q in_step + offsets[l]], and the epilogue's on top where there is one.
  void (*forward)(const WindowRow& row, const Epilogue<T>* epilogue, T* y);
};

struct DirectKernels {
  int width;  // floats of a vector

  // Puts w[k filter_stride + sources[l]] into the order in which `forward` reads weights; filters * count floats.
  void (*arrange_weights)(const float* w, int64_t filters, int64_t filter_stride, const int32_t* sources, int64_t count,
                          float* out);
  // sums[k][l] += dy[k] in[offsets[l]] over the pixels, a vector for each: (filters, count, width).
  void (*backward_weight)(const WindowGradients& gradients, float* sums);
  // out[i] = the sum of vector i's lanes.
  void (*sum_lanes)(const float* sums, int64_t n, float* out);

  DirectPasses<float> f32;
  DirectPasses<uint16_t> bf16;
};

RIDE_PER_ISA(DirectKernels, direct_kernels)

}  // namespace engine::cpu::lanes
