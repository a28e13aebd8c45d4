#include "engine/cpu/conv_fused.h"

#include <string_view>

#include "engine/cpu/channels/conv.h"
#include "engine/cpu/conv_problem.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/conv.h"
#include "engine/kernels/select.h"

namespace engine::cpu {
namespace {

using dnnl::memory;

struct Plan {
  dnnl::primitive convolution;
  memory::desc weights;      // in the layout that the convolution reads
  dnnl::primitive arrange;   // from our layout to that one; empty when they agree
  std::vector<int64_t> key;  // of the arranged copy
  bool fast = true;          // false: oneDNN has nothing but its reference loops for this convolution with what follows
};

// A layout as numbers. Weights have blocked layouts, which these describe in full.
std::vector<int64_t> layout_key(const memory::desc& desc) {
  std::vector<int64_t> key{static_cast<int64_t>(desc.get_data_type())};
  for (const memory::dims& part :
       {desc.get_padded_dims(), desc.get_strides(), desc.get_inner_blks(), desc.get_inner_idxs()}) {
    key.push_back(static_cast<int64_t>(part.size()));
    key.insert(key.end(), part.begin(), part.end());
  }
  return key;
}

Plan make_plan(const ConvProblem& p, bool residual, bool relu) {
  dnnl::post_ops after;  // the bias is the convolution's own
  if (residual) after.append_binary(dnnl::algorithm::binary_add, p.y);
  if (relu) after.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(after);
  const dnnl::convolution_forward::primitive_desc desc(
      onednn_engine(), dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, p.x, p.w_any, p.b, p.y,
      p.strides, p.dilates, p.padding_left, p.padding_right, attributes);
  return {dnnl::convolution_forward(desc), desc.weights_desc(), reorder_between(p.w, desc.weights_desc()),
          layout_key(desc.weights_desc()), std::string_view(desc.impl_info_str()).find("ref") != 0};
}

std::shared_ptr<const Plan> plan_for(ConvProblem& p, bool residual, bool relu) {
  static thread_local PrimitiveCache<Plan> cache(512);
  p.key.insert(p.key.end(), {residual, relu});
  return cache.get(p.key, [&] { return make_plan(p, residual, relu); });
}

memory arranged(const Plan& plan, const ConvProblem& p, ConstantWeights& w) {
  if (!plan.arrange) return wrap(p.w, w.values());
  return wrap(plan.weights, w.arranged(plan.key, [&] {
    const OpaqueMemory made = make_opaque(plan.weights);
    plan.arrange.execute(onednn_stream(), {{DNNL_ARG_FROM, wrap(p.w, w.values())}, {DNNL_ARG_TO, made.memory}});
    return made.bytes;
  }));
}

// The convolution, then a pass that adds and cuts off.
Tensor in_two_passes(const Tensor& x, const Tensor& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                     const Conv2dOptions& options) {
  const Tensor z = kernels(x).conv.forward(x, w, {}, y_shape, options);
  const DType statistics = z.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor ones = Tensor::full({z.size(1)}, 1, {.dtype = statistics});
  return scale_and_shift(z, ones, as_type(epilogue.bias, statistics), epilogue.residual, epilogue.relu);
}

// f32, or bf16 where it is computed in; any format with strides.
Tensor by_onednn(const Tensor& x_any, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                 const Conv2dOptions& options) {
  return onednn_call("conv2d_fused", [&] {
    const MemoryFormat format = x_any.format();
    const TensorOptions like{.dtype = x_any.dtype(), .format = format};
    const Tensor x = dense(x_any, format), residual = dense(epilogue.residual, format), bias = dense(epilogue.bias);
    const Tensor y = Tensor::empty(y_shape, like);
    if (y.numel() == 0) return y;
    const ConvShapes shapes{x.shape(), w.values().shape(), y_shape};
    ConvProblem p = describe_conv(shapes, like, options, true);
    const auto plan = plan_for(p, residual.defined(), epilogue.relu);
    if (!plan->fast) return in_two_passes(x, w.values(), {bias, residual, epilogue.relu}, y_shape, options);
    std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, wrap(p.x, x)},
                                              {DNNL_ARG_WEIGHTS, arranged(*plan, p, w)},
                                              {DNNL_ARG_BIAS, wrap(p.b, bias)},
                                              {DNNL_ARG_DST, wrap(p.y, y)}};
    if (residual.defined()) arguments.emplace(DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, wrap(p.y, residual));
    plan->convolution.execute(onednn_stream(), arguments);
    count_conv_work(shapes, x.dtype());
    return y;
  });
}

}  // namespace

Tensor scale_and_shift(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& residual, bool relu) {
  const Tensor zeros = Tensor::zeros(scale.shape(), scale.options()),
               ones = Tensor::full(scale.shape(), 1, scale.options());
  const Tensor y = empty_like(x);
  kernels(x).norm.normalize(x, zeros, ones, scale, shift, residual, relu, y);
  return y;
}

Tensor conv_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                          const Conv2dOptions& options) {
  if (lanes::conv_covers(x, w.values().shape(), options))
    return lanes::conv_forward_fused(x, w, {dense(epilogue.bias), dense(epilogue.residual, x.format()), epilogue.relu},
                                     y_shape, options);
  if (channels::conv_covers(x, w.values().shape(), options))
    return channels::conv_forward_fused(x, w, epilogue, y_shape, options);
  if (x.format() == MemoryFormat::batch_lanes || x.dtype() == DType::f64)
    return in_two_passes(x, w.values(), epilogue, y_shape, options);
  if (computes_in(x.dtype())) return by_onednn(x, w, epilogue, y_shape, options);
  const ConvEpilogue wide{epilogue.bias, as_type(epilogue.residual, DType::f32), epilogue.relu};
  return as_type(by_onednn(as_type(x, DType::f32), w, wide, y_shape, options), x.dtype());
}

}  // namespace engine::cpu
