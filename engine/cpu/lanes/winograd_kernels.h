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

// What may be done to values as they are read, in the first `images` lanes, so that the result need not be stored. Each
// array has one value per channel; `other` lies as x does.
//   relu(x scale + shift)             a batch norm's output
//   x scale + (other factor + shift)  the gradient of a batch norm's input, where `other` is not null
template <class T>
struct Prologue {
  const float *scale, *shift;
  int64_t images;
  const T* other = nullptr;
  const float* factor = nullptr;
};

// What a convolution reads: one group's planes at x, perhaps through a prologue.
template <class T>
struct Source {
  const T* x;
  Plane plane;
  const Prologue<T>* prologue;  // null without one
};

// Where the outputs are the gradient of what a batch norm of x and its ReLU gave: only what ReLU lets through is kept,
// and summed up as batch norm's backward asks. ReLU's result is relu(x scale + shift), or `result` where that is not
// null; the residual of an epilogue is then added to the outputs first. x and `result` lie as the outputs do.
template <class T>
struct Gate {
  const T *x, *result;
  const float *scale, *shift, *mean;  // of each channel
  double* sums;                       // of g and of g (x - mean), two for each filter
};

// Where outputs go, and what may happen to them on the way: one of these, or with gate.result two.
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
  int64_t (*forward)(const Source<T>& x, const float* weights, int64_t filters, Range tiles, int64_t images,
                     float* scratch, const Outputs<T>& outputs);
  // The same of dy with flipped weights gives dx (the outputs), unless `weights` is null; and products[p] += sum over
  // the tiles of (transformed x) (transformed dy)^T, (36, channels, filters).
  void (*backward)(const Source<T>& dy, const Source<T>& x, const float* weights, Range tiles, int64_t images,
                   float* scratch, const Outputs<T>& outputs, float* products);
};

struct WinogradKernels {
  // Floats of scratch that forward and backward need for that many tiles; of backward `in` is dy.
  int64_t (*forward_scratch)(Plane in, int64_t tiles);
  int64_t (*backward_scratch)(Plane in, int64_t channels, int64_t tiles);
  // U = G w G^T of w (filters, channels, 3, 3) in forward's order, 36 filters channels floats; a range of the channels.
  // With `flipped` U is that of backward-data: w is (channels, filters, 3, 3), and rotated by half a turn.
  void (*transform_weights)(const float* w, int64_t filters, int64_t channels, bool flipped, Range range, float* out);
  // dw = G^T (sum of the `pieces` products) G, turned by half a turn, of a range of the channels filters pairs.
  void (*untransform_weights)(const float* products, int64_t pieces, int64_t filters, int64_t channels, Range pairs,
                              float* dw);

  WinogradPasses<float> f32;
  WinogradPasses<uint16_t> bf16;
};

RIDE_PER_ISA(WinogradKernels, winograd_kernels)

}  // namespace engine::cpu::lanes
