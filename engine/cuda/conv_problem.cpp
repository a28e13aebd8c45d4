#include "engine/cuda/conv_problem.h"

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
  uint64_t hash = 0xcbf29ce484222325u;
  const auto mix = [&](int64_t word) {
    hash = (hash ^ static_cast<uint64_t>(word)) * 0x9E3779B97F4A7C15u + (hash >> 29);
  };
  for (const Shape* shape : {&p.x, &p.w, &p.y})
    for (const int64_t size : *shape) mix(size);
  for (const Pair& pair : {p.options.stride, p.options.padding, p.options.dilation}) {
    mix(pair.h);
    mix(pair.w);
  }
  mix(p.options.groups);
  mix(static_cast<int64_t>(p.pass) | static_cast<int64_t>(p.dtype) << 8 | static_cast<int64_t>(p.format) << 16);
  mix(p.bias | p.residual << 1 | p.relu << 2 | p.tf32 << 3 | p.deterministic << 4);
  return hash;
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
  const bool pads = is_half(options.dtype) && options.format == MemoryFormat::channels_last && groups == 1;
  return pads ? (x[1] + 7) / 8 * 8 : x[1];
}

ConvDims dims_of(const Shape& shape) { return {shape[0], shape[1], shape[2], shape[3]}; }

ConvDims conv_strides(const Shape& shape, MemoryFormat format) { return dims_of(strides_of(shape, format)); }

}  // namespace engine::cuda
