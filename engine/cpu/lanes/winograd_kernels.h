// Winograd's F(4x4, 3x3) over sixteen-image groups: the three directions of a 3x3 convolution with stride 1 and padding
// 1, compiled once per instruction set. winograd.h plans them and README.md explains them.
//
// Position p = 6 i + j is one of the 36 points of a transformed 6x6 tile. Tiles are numbered row by row over the output
// image.
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"
#include "engine/cpu/lanes/epilogue.h"

namespace engine::cpu::lanes {

// A group's images: `channels` planes of height x width pixels of sixteen values.
struct Plane {
  int64_t channels, height, width;
};
struct Moments {
  double mean, deviation;  // deviation: the summed squared differences from the mean
};
struct Range {
  int64_t begin, end;
};

// What may be done to x as it is read: relu(x scale + shift) in the first `images` lanes, a batch norm's output that
// then need not be stored. One scale and shift per channel.
struct Prologue {
  const float *scale, *shift;
  int64_t images;
};

// Where the outputs are the gradient of relu(x scale + shift): only what ReLU lets through is kept, and summed up as
// batch norm's backward asks. x as the outputs; scale, shift and mean of each of its channels.
template <class T>
struct Gate {
  const T* x;
  const float *scale, *shift, *mean;
  double* sums;  // of g and of g (x - mean), two for each filter
};

// Where outputs go, and at most one of what may happen to them on the way.
template <class T>
struct Outputs {
  T* y;
  const Epilogue<T>* epilogue;
  Moments* moments;  // one per filter, of the outputs of this call
  const Gate<T>* gate;
};

template <class T>
struct WinogradPasses {
  // y (filters) = w (*) x (channels), on the given output tiles of one group with `images` images. `weights` as
  // transform_weights leaves them, `scratch` of forward_scratch() floats. Returns the number of values that the moments
  // are of.
  int64_t (*forward)(const T* x, Plane in, const Prologue* prologue, const float* weights, int64_t filters, Range tiles,
                     int64_t images, float* scratch, const Outputs<T>& outputs);
  // products[p] += sum over the tiles of (transformed dy) (transformed x)^T, (36, filters, channels).
  void (*backward_weight)(const T* x, Plane in, const Prologue* prologue, const T* dy, int64_t filters, Range tiles,
                          float* scratch, float* products);
};

struct WinogradKernels {
  // Floats of scratch that forward and backward_weight need for that many tiles.
  int64_t (*forward_scratch)(Plane in, int64_t tiles);
  int64_t (*backward_scratch)(Plane in, int64_t filters, int64_t tiles);
  // U = G w G^T of w (filters, channels, 3, 3) in forward's order, 36 filters channels floats; a range of the channels.
  // With `flipped` U is that of backward-data: w is (channels, filters, 3, 3), and rotated by half a turn.
  void (*transform_weights)(const float* w, int64_t filters, int64_t channels, bool flipped, Range range, float* out);
  // dw = G^T (sum of the `pieces` products) G of a range of the filters channels pairs.
  void (*untransform_weights)(const float* products, int64_t pieces, int64_t filters, int64_t channels, Range pairs,
                              float* dw);

  WinogradPasses<float> f32;
  WinogradPasses<uint16_t> bf16;
};

RIDE_PER_ISA(WinogradKernels, winograd_kernels)

}  // namespace engine::cpu::lanes
