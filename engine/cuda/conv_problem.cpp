#include "engine/cuda/conv_problem.h"

#include "engine/core/word_hash.h"

namespace engine::cuda {
namespace {

constexpr const char* pass_name(ConvPass pass) {
  switch (pass) {
    case ConvPass::forward: return "forward";
    case ConvPass::backward_input: return "backward_input";
    case ConvPass::backward_weight: return "backward_weight";
  }
  return "?";
}

}  // namespace

std::string ConvProblem::str() const {
  return fmt::format(
      "{} in {} {}{}{}, input {}, weight {}, output {}, stride ({}, {}), padding ({}, {}), dilation "
      "({}, {}), {} groups{}{}{}",
      pass_name(pass), name(dtype), name(format), tf32 ? "" : ", no TF32", deterministic ? ", deterministic" : "", x, w,
      y, options.stride.h, options.stride.w, options.padding.h, options.padding.w, options.dilation.h,
      options.dilation.w, options.groups, bias ? ", bias" : "", residual ? ", residual" : "", relu ? ", ReLU" : "");
}

std::size_t ConvProblemHash::operator()(const ConvProblem& p) const {
  WordHash hash;
  for (const Shape* shape : {&p.x, &p.w, &p.y})
    for (const int64_t size : *shape) hash.mix(size);
  for (const Pair& pair : {p.options.stride, p.options.padding, p.options.dilation}) {
    hash.mix(pair.h);
    hash.mix(pair.w);
  }
  hash.mix(p.options.groups);
  hash.mix(static_cast<int64_t>(p.pass) | static_cast<int64_t>(p.dtype) << 8 | static_cast<int64_t>(p.format) << 16);
  hash.mix(p.bias | p.residual << 1 | p.relu << 2 | p.tf32 << 3 | p.deterministic << 4);
  return hash.value();
}

ConvProblem describe_conv(ConvPass pass, const ConvShapes& shapes, const TensorOptions& x,
                          const Conv2dOptions& options) {
  return {.pass = pass,
          .dtype = x.dtype,
          .format = x.format,
          .x = shapes.x,
          .w = shapes.w,
          .y = shapes.y,
          .options = options,
          .tf32 = x.dtype != DType::f32 || numerics().tf32.convolutions,
          .deterministic = numerics().deterministic};
}

int64_t padded_channels(const Shape& x, const TensorOptions& options, int64_t groups) {
  if (options.format != MemoryFormat::channels_last || groups != 1) return x[1];
  const bool tf32 = options.dtype == DType::f32 && numerics().tf32.convolutions;
  const int64_t multiple = is_half(options.dtype) ? 8 : tf32 ? 4 : 1;
  return (x[1] + multiple - 1) / multiple * multiple;
}

ConvDims dims_of(const Shape& shape) { return {shape[0], shape[1], shape[2], shape[3]}; }

ConvDims conv_strides(const Shape& shape, MemoryFormat format) { return dims_of(strides_of(shape, format)); }

}  // namespace engine::cuda
