// Convolutions of the emulated device: the CPU back end computes them.
#include "engine/cuda/table.h"

namespace engine::cuda {
namespace {

Tensor on_cpu(const Tensor& x) { return x.defined() ? x.to(Device{}) : x; }

Tensor forward(const Tensor& x, const Tensor& w, const Tensor& b, const Shape& y_shape, const Conv2dOptions& options) {
  return kernels(Device{}).conv.forward(on_cpu(x), on_cpu(w), on_cpu(b), y_shape, options).to(x.device());
}

Tensor forward_with_moments(const Tensor& x, const Tensor& w, const Shape& y_shape, const Conv2dOptions& options,
                            const NormalizedInput* input, ChannelMoments& moments) {
  check(input == nullptr, "conv2d", "the device takes no input that is still to be normalised");
  const Tensor y = forward(x, w, {}, y_shape, options);
  moments.mean =
      Tensor::empty({y.size(1)}, {.dtype = y.dtype() == DType::f64 ? DType::f64 : DType::f32, .device = y.device()});
  moments.variance = empty_like(moments.mean);
  kernels(y).norm.statistics(y, moments.mean, moments.variance);
  return y;
}

Tensor backward_input(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions& options,
                      const Tensor& onto) {
  return kernels(Device{}).conv.backward_input(on_cpu(dy), on_cpu(w), x_shape, options, on_cpu(onto)).to(dy.device());
}

Tensor backward_weight(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions& options,
                       const NormalizedInput*) {
  return kernels(Device{}).conv.backward_weight(on_cpu(dy), on_cpu(x), w_shape, options, nullptr).to(dy.device());
}

Tensor forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                     const Conv2dOptions& options) {
  ConstantWeights weights(on_cpu(w.values()));
  const ConvEpilogue there{.bias = on_cpu(epilogue.bias), .residual = on_cpu(epilogue.residual), .relu = epilogue.relu};
  return kernels(Device{}).conv.forward_fused(on_cpu(x), weights, there, y_shape, options).to(x.device());
}

}  // namespace

void fill(ConvKernels& table) {
  table.forward = forward;
  table.forward_with_moments = forward_with_moments;
  table.backward_input = backward_input;
  table.backward_weight = backward_weight;
  table.forward_fused = forward_fused;
}

}  // namespace engine::cuda
