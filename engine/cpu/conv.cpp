// Convolution: oneDNN for f32 (and bf16 where that is faster), plain loops for f64, f32 for 16-bit types else.
#include "engine/cpu/lanes/conv.h"
#include "engine/core/profile.h"
#include "engine/cpu/conv_fused.h"
#include "engine/cpu/conv_problem.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/norm.h"
#include "engine/cpu/lanes/winograd.h"
#include "engine/cpu/plain.h"
#include "engine/cpu/table.h"
#include "engine/cpu/weight_gradient.h"

namespace engine::cpu {
namespace {

using dnnl::memory;

// A convolution primitive with the layout it wants its weights in and the reorder between that and ours.
struct Plan {
  dnnl::primitive primitive;
  memory::desc weights;
  dnnl::primitive reorder;  // empty when the layouts agree
};

dnnl::convolution_forward::primitive_desc forward_desc(const ConvProblem& p) {
  return {onednn_engine(),
          dnnl::prop_kind::forward_training,
          dnnl::algorithm::convolution_direct,
          p.x,
          p.w_any,
          p.b,
          p.y,
          p.strides,
          p.dilates,
          p.padding_left,
          p.padding_right};
}

Plan plan_forward(const ConvProblem& p) {
  const auto desc = forward_desc(p);
  return {dnnl::convolution_forward(desc), desc.weights_desc(), reorder_between(p.w, desc.weights_desc())};
}

Plan plan_backward_input(const ConvProblem& p) {
  const dnnl::convolution_backward_data::primitive_desc desc(onednn_engine(), dnnl::algorithm::convolution_direct, p.x,
                                                             p.w_any, p.y, p.strides, p.dilates, p.padding_left,
                                                             p.padding_right, forward_desc(p));
  return {dnnl::convolution_backward_data(desc), desc.weights_desc(), reorder_between(p.w, desc.weights_desc())};
}

Plan plan_backward_weight(const ConvProblem& p) {
  const dnnl::convolution_backward_weights::primitive_desc desc(onednn_engine(), dnnl::algorithm::convolution_direct,
                                                                p.x, p.dw_any, p.y, p.strides, p.dilates,
                                                                p.padding_left, p.padding_right, forward_desc(p));
  return {dnnl::convolution_backward_weights(desc), desc.diff_weights_desc(),
          reorder_between(desc.diff_weights_desc(), p.w)};
}

// Primitives of one direction, made once per problem.
template <Plan (*make)(const ConvProblem&)>
std::shared_ptr<const Plan> cached(const ConvProblem& p) {
  static thread_local PrimitiveCache<Plan> cache(512);
  return cache.get(p.key, [&] { return make(p); });
}

// Our weights in the layout the plan wants. The bytes live as long as the result.
OpaqueMemory arrange_weights(const Plan& plan, const ConvProblem& p, const Tensor& w) {
  if (!plan.reorder) return {w, wrap(p.w, w)};
  OpaqueMemory arranged = make_opaque(plan.weights);
  plan.reorder.execute(onednn_stream(), {{DNNL_ARG_FROM, wrap(p.w, w)}, {DNNL_ARG_TO, arranged.memory}});
  return arranged;
}

// 16-bit activations of a type that is not computed in are taken as f32, through copies.
bool through_f32(DType dtype) { return is_half(dtype) && !computes_in(dtype); }

// A parameter as the kernels read it: dense, row-major, f32 (f64 kernels read any layout).
Tensor parameter(const Tensor& w) { return dense(as_type(w, DType::f32), MemoryFormat::contiguous); }

Tensor forward(const Tensor& x_any, const Tensor& w_any, const Tensor& b, const Shape& y_shape,
               const Conv2dOptions& options) {
  if (through_f32(x_any.dtype()))
    return as_type(forward(as_type(x_any, DType::f32), w_any, b, y_shape, options), x_any.dtype());
  const MemoryFormat format = x_any.format();
  Tensor y = Tensor::empty(y_shape, {.dtype = x_any.dtype(), .format = format});
  if (y.numel() == 0) return y;
  if (x_any.dtype() == DType::f64) {
    plain::conv_forward(x_any, w_any, b, options, y);
    return y;
  }
  return onednn_call("conv2d", [&] {
    const Tensor x = dense(x_any, format), w = parameter(w_any);
    const ConvShapes shapes{x.shape(), w.shape(), y_shape};
    const ConvProblem p = describe_conv(shapes, {.dtype = x.dtype(), .format = format}, options, b.defined());
    const auto plan = cached<plan_forward>(p);
    const OpaqueMemory weights = arrange_weights(*plan, p, w);
    std::unordered_map<int, memory> arguments{
        {DNNL_ARG_SRC, wrap(p.x, x)}, {DNNL_ARG_WEIGHTS, weights.memory}, {DNNL_ARG_DST, wrap(p.y, y)}};
    const Tensor bias = dense(as_type(b, DType::f32));
    if (bias.defined()) arguments.emplace(DNNL_ARG_BIAS, wrap(p.b, bias));
    plan->primitive.execute(onednn_stream(), arguments);
    count_conv_work(shapes, x.dtype());
    return y;
  });
}

Tensor backward_input(const Tensor& dy_any, const Tensor& w_any, const Shape& x_shape, const Conv2dOptions& options) {
  if (through_f32(dy_any.dtype()))
    return as_type(backward_input(as_type(dy_any, DType::f32), w_any, x_shape, options), dy_any.dtype());
  const MemoryFormat format = dy_any.format();
  Tensor dx = Tensor::empty(x_shape, {.dtype = dy_any.dtype(), .format = format});
  if (dx.numel() == 0) return dx;
  if (dy_any.dtype() == DType::f64) {
    plain::conv_backward_input(dy_any, w_any, options, dx);
    return dx;
  }
  return onednn_call("conv2d backward_input", [&] {
    const Tensor dy = dense(dy_any, format), w = parameter(w_any);
    const ConvShapes shapes{x_shape, w.shape(), dy.shape()};
    const ConvProblem p = describe_conv(shapes, {.dtype = dy.dtype(), .format = format}, options, false);
    const auto plan = cached<plan_backward_input>(p);
    const OpaqueMemory weights = arrange_weights(*plan, p, w);
    plan->primitive.execute(
        onednn_stream(),
        {{DNNL_ARG_DIFF_DST, wrap(p.y, dy)}, {DNNL_ARG_WEIGHTS, weights.memory}, {DNNL_ARG_DIFF_SRC, wrap(p.x, dx)}});
    count_conv_work(shapes, dy.dtype());
    return dx;
  });
}

Tensor backward_weight(const Tensor& dy_any, const Tensor& x_any, const Shape& w_shape, const Conv2dOptions& options) {
  if (through_f32(dy_any.dtype()))
    return backward_weight(as_type(dy_any, DType::f32), as_type(x_any, DType::f32), w_shape, options);
  const TensorOptions like{.dtype = is_half(x_any.dtype()) ? DType::f32 : x_any.dtype()};
  if (x_any.numel() == 0) return Tensor::zeros(w_shape, like);
  Tensor dw = Tensor::empty(w_shape, like);
  if (x_any.dtype() == DType::f64) {
    plain::conv_backward_weight(dy_any, x_any, options, dw);
    return dw;
  }
  return onednn_call("conv2d backward_weight", [&] {
    const MemoryFormat format = x_any.is_dense(dy_any.format()) ? dy_any.format() : x_any.format();
    const Tensor x = dense(x_any, format), dy = dense(dy_any, format);
    const ConvShapes shapes{x.shape(), w_shape, dy.shape()};
    count_conv_work(shapes, x.dtype());
    if (format == MemoryFormat::channels_last && weight_gradient_covers(x, w_shape, options))
      return weight_gradient(dy, x, w_shape, options);
    const ConvProblem p = describe_conv(shapes, {.dtype = x.dtype(), .format = format}, options, false);
    const auto plan = cached<plan_backward_weight>(p);
    const OpaqueMemory result = plan->reorder ? make_opaque(plan->weights) : OpaqueMemory{dw, wrap(p.w, dw)};
    plan->primitive.execute(
        onednn_stream(),
        {{DNNL_ARG_SRC, wrap(p.x, x)}, {DNNL_ARG_DIFF_DST, wrap(p.y, dy)}, {DNNL_ARG_DIFF_WEIGHTS, result.memory}});
    if (plan->reorder)
      plan->reorder.execute(onednn_stream(), {{DNNL_ARG_FROM, result.memory}, {DNNL_ARG_TO, wrap(p.w, dw)}});
    return dw;
  });
}

// batch_lanes has kernels of its own; what they don't take goes through channels_last.
Tensor forward_in_any_format(const Tensor& x, const Tensor& w, const Tensor& b, const Shape& y_shape,
                             const Conv2dOptions& options) {
  if (x.format() != MemoryFormat::batch_lanes) return forward(x, w, b, y_shape, options);
  if (lanes::conv_covers(x, w.shape(), options) && !b.defined())
    return lanes::conv_forward(x, parameter(w), y_shape, options);
  return dense(forward(dense(x, MemoryFormat::channels_last), w, b, y_shape, options), MemoryFormat::batch_lanes);
}

// relu(x scale + shift), for kernels that want it in memory.
Tensor materialized(const Tensor& x, const NormalizedInput* input) {
  return input ? scale_and_shift(x, input->scale, input->shift, {}, true) : x;
}

Tensor forward_with_moments(const Tensor& x_any, const Tensor& w, const Shape& y_shape, const Conv2dOptions& options,
                            const NormalizedInput* input, ChannelMoments& moments) {
  if (lanes::conv_by_winograd(x_any, w.shape(), options))
    return lanes::winograd_forward(x_any, parameter(w), &moments, input);
  const Tensor y = forward_in_any_format(materialized(x_any, input), w, {}, y_shape, options);
  moments.mean = Tensor::empty({y.size(1)}, {.dtype = y.dtype() == DType::f64 ? DType::f64 : DType::f32});
  moments.variance = empty_like(moments.mean);
  kernels(y).norm.statistics(y, moments.mean, moments.variance);
  return y;
}

Tensor backward_input_in_any_format(const Tensor& dy, const Tensor& w, const Shape& x_shape,
                                    const Conv2dOptions& options, const Tensor& onto) {
  const bool in_lanes = dy.format() == MemoryFormat::batch_lanes;
  const bool fits = !onto.defined() || (onto.format() == dy.format() && onto.dtype() == dy.dtype());
  if (in_lanes && fits && lanes::conv_covers(dy, w.shape(), options))
    return lanes::conv_backward_input(dy, parameter(w), x_shape, options, onto);
  const Tensor dx = in_lanes ? dense(backward_input(dense(dy, MemoryFormat::channels_last), w, x_shape, options),
                                     MemoryFormat::batch_lanes)
                             : backward_input(dy, w, x_shape, options);
  if (!onto.defined()) return dx;
  kernels(dx).elementwise.binary(BinaryOp::add, onto, as_type(dx, onto.dtype()), onto);
  return onto;
}

Tensor backward_weight_in_any_format(const Tensor& dy, const Tensor& x_any, const Shape& w_shape,
                                     const Conv2dOptions& options, const NormalizedInput* input) {
  if (lanes::conv_by_winograd(x_any, w_shape, options))
    return lanes::winograd_backward_weight(dense(dy, MemoryFormat::batch_lanes), x_any, input);
  const Tensor x = materialized(x_any, input);
  if (x.format() != MemoryFormat::batch_lanes) return backward_weight(dy, x, w_shape, options);
  if (lanes::conv_covers(x, w_shape, options))
    return lanes::conv_backward_weight(dense(dy, MemoryFormat::batch_lanes), x, w_shape, options);
  return backward_weight(dense(dy, MemoryFormat::channels_last), dense(x, MemoryFormat::channels_last), w_shape,
                         options);
}

// The gradient in memory, where a kernel wants it there.
Tensor materialized(const LazyGradient& dy) {
  if (!dy.a.defined()) return dy.g;
  profile::Scope scope("batch_norm", " backward");
  return lanes::made(dy);
}

// Whether dy and what dx is added to can be read and written as they are.
bool in_lanes_of(const Tensor& x, const Tensor& other) {
  return !other.defined() || (other.is_dense(MemoryFormat::batch_lanes) && other.dtype() == x.dtype());
}

ConvGradients backward(const LazyGradient& lazy, const Tensor& x, const Tensor& w, const Conv2dOptions& options,
                       const Tensor& onto) {
  if (lanes::conv_by_winograd(x, w.shape(), options) && in_lanes_of(x, lazy.g) && in_lanes_of(x, onto))
    return lanes::winograd_backward(lazy, x, parameter(w), onto);
  const Tensor dy = materialized(lazy);
  return {backward_input_in_any_format(dy, w, x.shape(), options, onto),
          backward_weight_in_any_format(dy, x, w.shape(), options, nullptr)};
}

ConvNormGradients backward_norm(const LazyGradient& lazy, const Tensor& w, const Conv2dOptions& options,
                                const BatchNormSaved& saved, const NormalizedInput* input, const Tensor& onto) {
  if (lanes::conv_by_winograd(saved.x, w.shape(), options) && in_lanes_of(saved.x, lazy.g) &&
      in_lanes_of(saved.x, onto))
    return lanes::winograd_backward_norm(lazy, parameter(w), saved, input, onto);
  const Tensor dy = materialized(lazy), &x = input ? saved.x : saved.y,
               dw = backward_weight_in_any_format(dy, x, w.shape(), options, input),
               dz = backward_input_in_any_format(dy, w, x.shape(), options, onto);
  profile::Scope scope("batch_norm", " backward");
  return {kernels(dz).norm.backward_lazy(saved, dz, saved.residual), dw};
}

}  // namespace

void fill(ConvKernels& table) {
  table.forward = forward_in_any_format;
  table.forward_with_moments = forward_with_moments;
  table.backward_input = backward_input_in_any_format;
  table.backward_weight = backward_weight_in_any_format;
  table.backward = backward;
  table.backward_norm = backward_norm;
  table.forward_fused = conv_forward_fused;
}

}  // namespace engine::cpu
