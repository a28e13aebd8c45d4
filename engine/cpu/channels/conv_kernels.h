// Convolutions of channels_last images with vectors of channels, for inference: the inner loops over plain pointers.
// Sources named *_kernels.cpp are compiled once per instruction set; conv.h plans them and README.md explains them.
//
// Filters are taken in blocks of a few vectors, which is the order the weights are arranged in. Work is a range of
// blocks for a range of pieces of y, and what a piece is (a tile, a row) is the kernel's choice.
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"

namespace engine::cpu::channels {

struct Range {
  int64_t begin, end;
};

// Sizes of one image; y has `rows` x `columns` pixels.
struct Geometry {
  int64_t height, width, channels;
  int64_t rows, columns, filters;
  int64_t kernel_rows, kernel_columns;
  int64_t stride_rows, stride_columns;
  int64_t padding_rows, padding_columns;
};

// y = relu?(x (*) w + bias + residual?). Images lie one behind the other; pieces are numbered through all of them.
template <class T>
struct Work {
  const T* x;
  const float* weights;  // arranged
  const float* bias;     // (filters)
  const T* residual;     // as y, or null; may be y itself
  bool relu;
  T* y;
  Range blocks, pieces;
  float* scratch;  // scratch() floats
};

struct ConvKernels {
  // Blocks that the filters are taken in, and pieces of one image.
  int64_t (*blocks)(const Geometry& g);
  int64_t (*pieces)(const Geometry& g);
  // Floats of the arranged weights, and their values from w (filters, channels, kernel_rows, kernel_columns).
  int64_t (*arranged)(const Geometry& g);
  void (*arrange)(const float* w, const Geometry& g, float* out);
  // Floats of scratch that a call with that many pieces needs, in any element type.
  int64_t (*scratch)(const Geometry& g, int64_t pieces);
  void (*f32)(const Geometry& g, const Work<float>& work);
  void (*bf16)(const Geometry& g, const Work<uint16_t>& work);
};

// 3x3, stride 1 and padding 1, by Winograd's F(4x4, 3x3). A piece is a tile of 4x4 pixels.
RIDE_PER_ISA(ConvKernels, winograd_kernels)
// Any kernel size, stride and padding, by direct sums. A piece is a row of y.
RIDE_PER_ISA(ConvKernels, direct_kernels)

}  // namespace engine::cpu::channels
