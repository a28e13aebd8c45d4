// Convolution by cuDNN. It takes operands of one type in one format, so weights are brought into the activations' type
// and format first, and dw comes in that type too.
#include "engine/core/profile.h"
#include "engine/cuda/conv_plan.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

// channels_last also where an image with one channel or one pixel lies in both formats: cuDNN likes it best.
MemoryFormat format_of(const Tensor& x) {
  return x.is_dense(MemoryFormat::channels_last) ? MemoryFormat::channels_last : x.format();
}

bool is_aligned(const Tensor& x) { return reinterpret_cast<uintptr_t>(x.raw()) % 16 == 0; }  // as plans expect

// x with `channels`, those it has not filled with zeros, dense in the options' type and format; itself where it is so.
Tensor operand(const Tensor& x, const TensorOptions& like, int64_t channels) {
  if (!x.defined()) return x;
  if (x.size(1) == channels && x.dtype() == like.dtype && x.is_dense(like.format) && is_aligned(x)) return x;
  profile::Scope scope(profile::enabled() ? conversion_name(x, like.dtype, like.format) : std::string());
  const Shape shape = x.shape().replaced(1, channels);
  const TensorOptions options{.dtype = like.dtype, .device = x.device(), .format = like.format};
  const Tensor y = x.size(1) == channels ? Tensor::empty(shape, options) : Tensor::zeros(shape, options);
  copy(x, y.as_strided(x.shape(), y.strides()));
  return y;
}
Tensor operand(const Tensor& x, const TensorOptions& like) { return x.defined() ? operand(x, like, x.size(1)) : x; }

// A bias (K) likewise.
Tensor bias_operand(const Tensor& bias, const TensorOptions& like) {
  if (!bias.defined()) return bias;
  return operand(bias.as_strided({1, bias.numel(), 1, 1}, {0, bias.strides()[0], 0, 0}), like);
}

// The first channels of a padded operand, with the type, format and shape of `y`; itself where that is all of it.
Tensor result(const Tensor& padded, const Shape& shape, const TensorOptions& like) {
  if (padded.shape() == shape && padded.dtype() == like.dtype && padded.is_dense(like.format)) return padded;
  const Tensor y = Tensor::empty(shape, like);
  copy(padded.as_strided(shape, padded.strides()), y);
  return y;
}

// y = relu?(conv(x, w) + residual? + bias?) in one pass; undefined where cuDNN has none for it. `arrange` gives the
// weights with so many channels.
template <class Arrange>
Tensor forward_pass(const char* op, const Tensor& x_any, Arrange&& arrange, const ConvEpilogue& epilogue,
                    const Shape& y_shape, const Conv2dOptions& options) {
  const TensorOptions like{.dtype = x_any.dtype(), .device = x_any.device(), .format = format_of(x_any)};
  const Tensor y = Tensor::empty(y_shape, like);
  if (y.numel() == 0) return y;
  const int64_t channels = padded_channels(x_any.shape(), like, options.groups);
  const Tensor x = operand(x_any, like, channels), w = arrange(like, channels / options.groups);
  const Tensor bias = bias_operand(epilogue.bias, like), residual = operand(epilogue.residual, like);
  ConvProblem problem = describe_conv(ConvPass::forward, {x.shape(), w.shape(), y_shape}, like, options);
  problem.bias = bias.defined();
  problem.residual = residual.defined();
  problem.relu = epilogue.relu;
  if (!run_conv(op, problem, {x, w, y, bias, residual})) return {};
  count_conv(x_any.shape(), w.shape().replaced(1, x_any.size(1) / options.groups), y_shape, like.dtype);
  return y;
}

Tensor forward(const Tensor& x, const Tensor& w, const Tensor& b, const Shape& y_shape, const Conv2dOptions& options) {
  const auto arrange = [&](const TensorOptions& like, int64_t channels) { return operand(w, like, channels); };
  Tensor y = forward_pass("conv2d", x, arrange, {.bias = b}, y_shape, options);
  if (y.defined()) return y;
  y = forward_pass("conv2d", x, arrange, {}, y_shape, options);
  const Tensor bias = as_type(b, y.dtype()).as_strided(y_shape, {0, b.strides()[0], 0, 0});
  kernels(y).elementwise.binary(BinaryOp::add, y, bias, y);
  return y;
}

DType statistics_type(const Tensor& y) { return y.dtype() == DType::f64 ? DType::f64 : DType::f32; }

Tensor forward_with_moments(const Tensor& x, const Tensor& w, const Shape& y_shape, const Conv2dOptions& options,
                            const NormalizedInput* input, ChannelMoments& moments) {
  check(input == nullptr, "conv2d with moments", "takes no input that is still to be normalised on this device");
  const Tensor y = forward(x, w, {}, y_shape, options);
  moments.mean = Tensor::empty({y.size(1)}, {.dtype = statistics_type(y), .device = y.device()});
  moments.variance = empty_like(moments.mean);
  kernels(y).norm.statistics(y, moments.mean, moments.variance);
  return y;
}

Tensor gradient_of_input(const Tensor& dy_any, const Tensor& w_any, const Shape& x_shape,
                         const Conv2dOptions& options) {
  const TensorOptions like{.dtype = dy_any.dtype(), .device = dy_any.device(), .format = format_of(dy_any)};
  if (dy_any.numel() == 0) return Tensor::zeros(x_shape, like);
  const int64_t channels = padded_channels(x_shape, like, options.groups);
  const Tensor dy = operand(dy_any, like), w = operand(w_any, like, channels / options.groups);
  const Tensor dx = Tensor::empty(x_shape.replaced(1, channels), like);
  if (dx.numel() == 0) return Tensor::empty(x_shape, like);
  run_conv("conv2d backward_input",
           describe_conv(ConvPass::backward_input, {dx.shape(), w.shape(), dy.shape()}, like, options), {dx, w, dy});
  count_conv(x_shape, w_any.shape(), dy.shape(), like.dtype);
  return result(dx, x_shape, like);
}

Tensor backward_input(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions& options,
                      const Tensor& onto) {
  const Tensor dx = gradient_of_input(dy, w, x_shape, options);
  if (!onto.defined()) return dx;
  kernels(dx).elementwise.binary(BinaryOp::add, onto, as_type(dx, onto.dtype()), onto);
  return onto;
}

// cuDNN sums in f32 but has no kernels that write dw in f32 beside 16-bit operands: it is rounded to their type once.
Tensor backward_weight(const Tensor& dy_any, const Tensor& x_any, const Shape& w_shape, const Conv2dOptions& options,
                       const NormalizedInput* input) {
  check(input == nullptr, "conv2d backward_weight", "takes no input that is still to be normalised on this device");
  const TensorOptions wanted{.dtype = is_half(x_any.dtype()) ? DType::f32 : x_any.dtype(), .device = x_any.device()};
  if (x_any.numel() == 0 || dy_any.numel() == 0) return Tensor::zeros(w_shape, wanted);
  const MemoryFormat format = x_any.is_dense(format_of(dy_any)) ? format_of(dy_any) : format_of(x_any);
  const TensorOptions like{.dtype = x_any.dtype(), .device = x_any.device(), .format = format};
  const int64_t channels = padded_channels(x_any.shape(), like, options.groups);
  const Tensor x = operand(x_any, like, channels), dy = operand(dy_any, like);
  const Tensor dw = Tensor::empty(w_shape.replaced(1, channels / options.groups), like);
  run_conv("conv2d backward_weight",
           describe_conv(ConvPass::backward_weight, {x.shape(), dw.shape(), dy.shape()}, like, options), {x, dw, dy});
  count_conv(x_any.shape(), w_shape, dy.shape(), like.dtype);
  return result(dw, w_shape, wanted);
}

// Here batch norm leaves nothing to its readers.
const Tensor& gradient_of(const LazyGradient& dy) {
  check(!dy.a.defined(), "conv2d backward", "takes no gradient that is still to be made on this device");
  return dy.g;
}

ConvGradients backward(const LazyGradient& lazy, const Tensor& x, const Tensor& w, const Conv2dOptions& options,
                       const Tensor& onto) {
  const Tensor& dy = gradient_of(lazy);
  return {backward_input(dy, w, x.shape(), options, onto), backward_weight(dy, x, w.shape(), options, nullptr)};
}

ConvNormGradients backward_norm(const LazyGradient& dy, const Tensor& w, const Conv2dOptions& options,
                                const BatchNormSaved& saved, const NormalizedInput* input, const Tensor& onto) {
  check(input == nullptr, "conv2d backward_norm", "takes no input that is still to be normalised on this device");
  const ConvGradients g = backward(dy, saved.y, w, options, onto);
  profile::Scope scope("batch_norm", " backward");
  return {kernels(g.dx).norm.backward_lazy(saved, g.dx, saved.residual), g.dw};
}

// The convolution, then a pass that adds and cuts off: batch norm's, with mean 0 and variance 1.
Tensor forward_in_two_passes(const Tensor& x, const Tensor& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                             const Conv2dOptions& options) {
  const Tensor z = forward(x, w, {}, y_shape, options), y = empty_like(z);
  const TensorOptions statistics{.dtype = statistics_type(z), .device = z.device()};
  const Tensor zeros = Tensor::zeros({z.size(1)}, statistics), ones = Tensor::full({z.size(1)}, 1, statistics);
  kernels(z).norm.normalize(z, zeros, ones, ones, as_type(epilogue.bias, statistics.dtype), epilogue.residual,
                            epilogue.relu, y);
  return y;
}

Tensor forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                     const Conv2dOptions& options) {
  const auto arrange = [&](const TensorOptions& like, int64_t channels) {
    return w.arranged({static_cast<int64_t>(like.dtype), static_cast<int64_t>(like.format), channels},
                      [&] { return operand(w.values(), like, channels); });
  };
  const Tensor y = forward_pass("conv2d_fused", x, arrange, epilogue, y_shape, options);
  return y.defined() ? y : forward_in_two_passes(x, w.values(), epilogue, y_shape, options);
}

}  // namespace

void fill(ConvKernels& table) {
  table.forward = forward;
  table.forward_with_moments = forward_with_moments;
  table.backward_input = backward_input;
  table.backward_weight = backward_weight;
  table.backward = backward;
  table.backward_norm = backward_norm;
  table.forward_fused = forward_fused;
}

}  // namespace engine::cuda
