// A convolution as it is given to cuDNN: plain values, the key under which a plan for it is kept.
#pragma once
#include <array>
#include <string>

#include "engine/core/numerics.h"
#include "engine/kernels/conv.h"

namespace engine::cuda {

enum class ConvPass : uint8_t { forward, backward_input, backward_weight };

// Sizes as in engine/kernels/conv.h; in backward passes x, w and y stand for dx, dw and dy. All operands have one type
// and lie densely in one format, the weights too: (K, R, S, C/groups) in memory for channels_last.
struct ConvProblem {
  ConvPass pass = ConvPass::forward;
  DType dtype = DType::f32;
  MemoryFormat format = MemoryFormat::channels_last;
  Shape x, w, y;
  Conv2dOptions options = {};
  bool bias = false, residual = false, relu = false;  // forward alone: y = relu?(conv + residual? + bias?)
  bool tf32 = true;                                   // f32 factors may be rounded
  bool deterministic = false;

  bool operator==(const ConvProblem&) const = default;
  bool fused() const { return bias || residual || relu; }
  std::string str() const;  // "bf16 channels_last, input (8, 3, 32, 32), weight ..."
};
struct ConvProblemHash {
  std::size_t operator()(const ConvProblem& problem) const;
};

struct ConvShapes {
  const Shape &x, &w, &y;
};
// The problem with the program's numerics in it.
ConvProblem describe_conv(ConvPass pass, const ConvShapes& shapes, const TensorOptions& x,
                          const Conv2dOptions& options);

// How many channels x and w are given to cuDNN with. Its kernels for tensor cores read 16 bytes at once, eight channels
// of 16 bits or four of TF32; an image's three are filled up with zeros, which changes no sum.
int64_t padded_channels(const Shape& x, const TensorOptions& options, int64_t groups);

// Sizes and strides of an operand as cuDNN takes them.
using ConvDims = std::array<int64_t, 4>;
ConvDims dims_of(const Shape& shape);
ConvDims conv_strides(const Shape& shape, MemoryFormat format);

}  // namespace engine::cuda
