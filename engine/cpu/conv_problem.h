// A convolution as oneDNN sees it: what the training kernels and the inference ones share.
#pragma once
#include "engine/cpu/onednn.h"
#include "engine/kernels/conv.h"

namespace engine::cpu {

// The operands' descriptions and the options. x and y have one type (f32 or bf16); parameters come as f32.
struct ConvProblem {
  dnnl::memory::desc x, y;
  dnnl::memory::desc w, b;           // ours: row-major, f32; b is empty without a bias
  dnnl::memory::desc w_any, dw_any;  // the layout is oneDNN's to choose: w in x's type, its gradient in f32
  dnnl::memory::dims strides, dilates, padding_left, padding_right;
  PrimitiveKey key;
};

struct ConvShapes {
  const Shape &x, &w, &y;
};
ConvProblem describe_conv(const ConvShapes& shapes, const TensorOptions& x, const Conv2dOptions& options, bool bias);

// Empty when the layouts agree.
dnnl::primitive reorder_between(const dnnl::memory::desc& from, const dnnl::memory::desc& to);

// Tells the profiler about one convolution in `dtype`.
void count_conv_work(const ConvShapes& shapes, DType dtype);

}  // namespace engine::cpu
