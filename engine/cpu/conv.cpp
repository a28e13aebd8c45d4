// Convolution: oneDNN for f32, plain loops for f64, f32 for the 16-bit types.
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/onednn.h"
#include "engine/cpu/plain.h"
#include "engine/cpu/table.h"

namespace engine::cpu {
namespace {

using dnnl::memory;

// One convolution as oneDNN sees it: the operands' descriptions and its options.
struct Problem {
  memory::desc x, w, w_any, b, y;  // w: ours (row-major); w_any: the layout is oneDNN's to choose
  memory::dims strides, dilates, padding_left, padding_right;
  PrimitiveKey key;
};

Problem describe_problem(const Shape& x, const Shape& w, const Shape& y, MemoryFormat format, const Conv2dOptions& o,
                         bool bias) {
  Problem p;
  p.x = describe(x, strides_of(x, format));
  p.y = describe(y, strides_of(y, format));
  const memory::dims w_dims = o.groups == 1 ? dims_of(w) : memory::dims{o.groups, w[0] / o.groups, w[1], w[2], w[3]};
  const auto row_major = o.groups == 1 ? memory::format_tag::oihw : memory::format_tag::goihw;
  p.w = {w_dims, memory::data_type::f32, row_major};
  p.w_any = {w_dims, memory::data_type::f32, memory::format_tag::any};
  if (bias) p.b = {{w[0]}, memory::data_type::f32, memory::format_tag::a};
  p.strides = {o.stride.h, o.stride.w};
  p.dilates = {o.dilation.h - 1, o.dilation.w - 1};
  p.padding_left = {o.padding.h, o.padding.w};
  // What the windows really reach into, which may be less than the padding asked for.
  auto right = [](int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t dilation, int64_t left) {
    return (out - 1) * stride + dilation * (kernel - 1) + 1 - in - left;
  };
  p.padding_right = {right(x[2], y[2], w[2], o.stride.h, o.dilation.h, o.padding.h),
                     right(x[3], y[3], w[3], o.stride.w, o.dilation.w, o.padding.w)};
  append(p.key, x);
  append(p.key, w);
  for (int64_t v : {static_cast<int64_t>(format), o.stride.h, o.stride.w, o.padding.h, o.padding.w, o.dilation.h,
                    o.dilation.w, o.groups, static_cast<int64_t>(bias), static_cast<int64_t>(num_threads())})
    p.key.push_back(v);
  return p;
}

// A convolution primitive with the layout it wants its weights in and the reorder between that and ours.
struct Plan {
  dnnl::primitive primitive;
  memory::desc weights;
  dnnl::primitive reorder;  // empty when the layouts agree
};

dnnl::convolution_forward::primitive_desc forward_desc(const Problem& p) {
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

dnnl::primitive reorder_between(const memory::desc& from, const memory::desc& to) {
  if (from == to) return {};
  return dnnl::reorder(dnnl::reorder::primitive_desc(onednn_engine(), from, onednn_engine(), to));
}

Plan plan_forward(const Problem& p) {
  const auto desc = forward_desc(p);
  return {dnnl::convolution_forward(desc), desc.weights_desc(), reorder_between(p.w, desc.weights_desc())};
}

Plan plan_backward_input(const Problem& p) {
  const dnnl::convolution_backward_data::primitive_desc desc(onednn_engine(), dnnl::algorithm::convolution_direct, p.x,
                                                             p.w_any, p.y, p.strides, p.dilates, p.padding_left,
                                                             p.padding_right, forward_desc(p));
  return {dnnl::convolution_backward_data(desc), desc.weights_desc(), reorder_between(p.w, desc.weights_desc())};
}

Plan plan_backward_weight(const Problem& p) {
  const dnnl::convolution_backward_weights::primitive_desc desc(onednn_engine(), dnnl::algorithm::convolution_direct,
                                                                p.x, p.w_any, p.y, p.strides, p.dilates, p.padding_left,
                                                                p.padding_right, forward_desc(p));
  return {dnnl::convolution_backward_weights(desc), desc.diff_weights_desc(),
          reorder_between(desc.diff_weights_desc(), p.w)};
}

// Primitives of one direction, made once per problem.
template <Plan (*make)(const Problem&)>
std::shared_ptr<const Plan> cached(const Problem& p) {
  static PrimitiveCache<Plan> cache(512);
  return cache.get(p.key, [&] { return make(p); });
}

// Our weights in the layout the plan wants. The bytes live as long as the result.
OpaqueMemory arrange_weights(const Plan& plan, const Problem& p, const Tensor& w) {
  if (!plan.reorder) return {w, wrap(p.w, w)};
  OpaqueMemory arranged = make_opaque(plan.weights);
  plan.reorder.execute(onednn_stream(), {{DNNL_ARG_FROM, wrap(p.w, w)}, {DNNL_ARG_TO, arranged.memory}});
  return arranged;
}

void count_work(const Shape& x, const Shape& w, const Shape& y) {
  profile::add_work(2.0 * static_cast<double>(y.numel() * w[1] * w[2] * w[3]),
                    4.0 * static_cast<double>(x.numel() + w.numel() + y.numel()));
}

Tensor forward(const Tensor& x_any, const Tensor& w_any, const Tensor& b, const Shape& y_shape,
               const Conv2dOptions& options) {
  if (is_half(x_any.dtype()))
    return as_type(
        forward(as_type(x_any, DType::f32), as_type(w_any, DType::f32), as_type(b, DType::f32), y_shape, options),
        x_any.dtype());
  const MemoryFormat format = x_any.format();
  Tensor y = Tensor::empty(y_shape, {.dtype = x_any.dtype(), .format = format});
  if (y.numel() == 0) return y;
  if (x_any.dtype() == DType::f64) {
    plain::conv_forward(x_any, w_any, b, options, y);
    return y;
  }
  return onednn_call("conv2d", [&] {
    const Tensor x = dense(x_any, format), w = dense(w_any, MemoryFormat::contiguous);
    const Problem p = describe_problem(x.shape(), w.shape(), y_shape, format, options, b.defined());
    const auto plan = cached<plan_forward>(p);
    const OpaqueMemory weights = arrange_weights(*plan, p, w);
    std::unordered_map<int, memory> arguments{
        {DNNL_ARG_SRC, wrap(p.x, x)}, {DNNL_ARG_WEIGHTS, weights.memory}, {DNNL_ARG_DST, wrap(p.y, y)}};
    const Tensor bias = dense(b);
    if (bias.defined()) arguments.emplace(DNNL_ARG_BIAS, wrap(p.b, bias));
    plan->primitive.execute(onednn_stream(), arguments);
    count_work(x.shape(), w.shape(), y_shape);
    return y;
  });
}

Tensor backward_input(const Tensor& dy_any, const Tensor& w_any, const Shape& x_shape, const Conv2dOptions& options) {
  if (is_half(dy_any.dtype()))
    return as_type(backward_input(as_type(dy_any, DType::f32), as_type(w_any, DType::f32), x_shape, options),
                   dy_any.dtype());
  const MemoryFormat format = dy_any.format();
  Tensor dx = Tensor::empty(x_shape, {.dtype = dy_any.dtype(), .format = format});
  if (dx.numel() == 0) return dx;
  if (dy_any.dtype() == DType::f64) {
    plain::conv_backward_input(dy_any, w_any, options, dx);
    return dx;
  }
  return onednn_call("conv2d backward_input", [&] {
    const Tensor dy = dense(dy_any, format), w = dense(w_any, MemoryFormat::contiguous);
    const Problem p = describe_problem(x_shape, w.shape(), dy.shape(), format, options, false);
    const auto plan = cached<plan_backward_input>(p);
    const OpaqueMemory weights = arrange_weights(*plan, p, w);
    plan->primitive.execute(
        onednn_stream(),
        {{DNNL_ARG_DIFF_DST, wrap(p.y, dy)}, {DNNL_ARG_WEIGHTS, weights.memory}, {DNNL_ARG_DIFF_SRC, wrap(p.x, dx)}});
    count_work(x_shape, w.shape(), dy.shape());
    return dx;
  });
}

Tensor backward_weight(const Tensor& dy_any, const Tensor& x_any, const Shape& w_shape, const Conv2dOptions& options) {
  if (is_half(dy_any.dtype()))
    return as_type(backward_weight(as_type(dy_any, DType::f32), as_type(x_any, DType::f32), w_shape, options),
                   dy_any.dtype());
  if (x_any.numel() == 0) return Tensor::zeros(w_shape, {.dtype = x_any.dtype()});
  Tensor dw = Tensor::empty(w_shape, {.dtype = x_any.dtype()});
  if (x_any.dtype() == DType::f64) {
    plain::conv_backward_weight(dy_any, x_any, options, dw);
    return dw;
  }
  return onednn_call("conv2d backward_weight", [&] {
    const MemoryFormat format = x_any.is_dense(dy_any.format()) ? dy_any.format() : x_any.format();
    const Tensor x = dense(x_any, format), dy = dense(dy_any, format);
    const Problem p = describe_problem(x.shape(), w_shape, dy.shape(), format, options, false);
    const auto plan = cached<plan_backward_weight>(p);
    const OpaqueMemory result = plan->reorder ? make_opaque(plan->weights) : OpaqueMemory{dw, wrap(p.w, dw)};
    plan->primitive.execute(
        onednn_stream(),
        {{DNNL_ARG_SRC, wrap(p.x, x)}, {DNNL_ARG_DIFF_DST, wrap(p.y, dy)}, {DNNL_ARG_DIFF_WEIGHTS, result.memory}});
    if (plan->reorder)
      plan->reorder.execute(onednn_stream(), {{DNNL_ARG_FROM, result.memory}, {DNNL_ARG_TO, wrap(p.w, dw)}});
    count_work(x.shape(), w_shape, dy.shape());
    return dw;
  });
}

}  // namespace

void fill(ConvKernels& table) {
  table.forward = forward;
  table.backward_input = backward_input;
  table.backward_weight = backward_weight;
}

}  // namespace engine::cpu
