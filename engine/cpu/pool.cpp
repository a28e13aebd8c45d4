// Pooling: oneDNN for f32, plain loops for f64, f32 for the 16-bit types.
#include <cstring>

#include "engine/core/parallel.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/layout.h"
#include "engine/cpu/lanes/pool.h"
#include "engine/cpu/onednn.h"
#include "engine/cpu/plain.h"
#include "engine/cpu/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cpu {
namespace {

using dnnl::memory;

struct Plan {
  dnnl::primitive forward, backward;
  memory::desc workspace;
};

dnnl::algorithm algorithm_of(bool max, const Pool2dOptions& o) {
  if (max) return dnnl::algorithm::pooling_max;
  return o.count_include_pad ? dnnl::algorithm::pooling_avg_include_padding
                             : dnnl::algorithm::pooling_avg_exclude_padding;
}

Plan make_plan(bool max, const memory::desc& x, const memory::desc& y, const Pool2dOptions& o) {
  const memory::dims kernel{o.kernel.h, o.kernel.w}, strides{o.stride.h, o.stride.w}, no_dilation{0, 0};
  const memory::dims left{o.padding.h, o.padding.w};
  const auto in = x.get_dims(), out = y.get_dims();
  const memory::dims right{(out[2] - 1) * o.stride.h + o.kernel.h - in[2] - o.padding.h,
                           (out[3] - 1) * o.stride.w + o.kernel.w - in[3] - o.padding.w};
  const dnnl::pooling_forward::primitive_desc forward(onednn_engine(), dnnl::prop_kind::forward_training,
                                                      algorithm_of(max, o), x, y, strides, kernel, no_dilation, left,
                                                      right);
  const dnnl::pooling_backward::primitive_desc backward(onednn_engine(), algorithm_of(max, o), x, y, strides, kernel,
                                                        no_dilation, left, right, forward);
  return {dnnl::pooling_forward(forward), dnnl::pooling_backward(backward),
          max ? forward.workspace_desc() : memory::desc()};
}

std::shared_ptr<const Plan> plan_for(bool max, const Shape& x, const Shape& y, MemoryFormat format,
                                     const Pool2dOptions& o) {
  static thread_local PrimitiveCache<Plan> cache(128);
  PrimitiveKey key{
      max,         static_cast<int64_t>(format), o.kernel.h,   o.kernel.w, o.stride.h, o.stride.w, o.padding.h,
      o.padding.w, o.count_include_pad,          num_threads()};
  append(key, x);
  return cache.get(
      key, [&] { return make_plan(max, describe(x, strides_of(x, format)), describe(y, strides_of(y, format)), o); });
}

memory wrap_as(const Tensor& x, MemoryFormat format) {
  return wrap(describe(x.shape(), strides_of(x.shape(), format)), x);
}

void max(const Tensor& x, const Pool2dOptions& options, const Tensor& y, Tensor& where) {
  if (is_half(x.dtype())) {
    const Tensor y32 = empty_like(y, DType::f32);
    max(as_type(x, DType::f32), options, y32, where);
    return copy(y32, y);
  }
  where = Tensor::empty(y.shape(), {.dtype = DType::i64});
  if (y.numel() == 0) return;
  if (x.dtype() == DType::f64) return plain::max_pool(x, options, y, where);
  onednn_call("max_pool2d", [&] {
    const MemoryFormat format = y.format();
    const Tensor source = dense(x, format);
    const auto plan = plan_for(true, x.shape(), y.shape(), format, options);
    const OpaqueMemory workspace = make_opaque(plan->workspace);
    plan->forward.execute(onednn_stream(), {{DNNL_ARG_SRC, wrap_as(source, format)},
                                            {DNNL_ARG_DST, wrap_as(y, format)},
                                            {DNNL_ARG_WORKSPACE, workspace.memory}});
    where = workspace.bytes;
    count_passed(x, y);
  });
}

void max_backward(const Tensor& dy, const Tensor& where, const Pool2dOptions& options, const Tensor& dx) {
  if (is_half(dy.dtype())) {
    const Tensor dx32 = empty_like(dx, DType::f32);
    max_backward(as_type(dy, DType::f32), where, options, dx32);
    return copy(dx32, dx);
  }
  if (dy.numel() == 0 || dx.numel() == 0) return;
  if (dy.dtype() == DType::f64) return plain::max_pool_backward(dy, where, dx);
  onednn_call("max_pool2d backward", [&] {
    const Shape y_shape = dy.shape();
    // The winners are laid out as the forward output was: as dx, whose options are the input's.
    const MemoryFormat format = dx.format();
    const Tensor source = dense(dy, format);
    const auto plan = plan_for(true, dx.shape(), y_shape, format, options);
    plan->backward.execute(onednn_stream(), {{DNNL_ARG_DIFF_DST, wrap_as(source, format)},
                                             {DNNL_ARG_DIFF_SRC, wrap_as(dx, format)},
                                             {DNNL_ARG_WORKSPACE, wrap(plan->workspace, where)}});
    count_passed(dy, dx);
  });
}

void average(const Tensor& x, const Pool2dOptions& options, const Tensor& y) {
  if (is_half(x.dtype())) {
    const Tensor y32 = empty_like(y, DType::f32);
    average(as_type(x, DType::f32), options, y32);
    return copy(y32, y);
  }
  if (y.numel() == 0) return;
  if (x.dtype() == DType::f64) return plain::average_pool(x, options, y);
  onednn_call("avg_pool2d", [&] {
    const MemoryFormat format = x.format();
    const Tensor source = dense(x, format);
    const Tensor target = y.is_dense(format) ? y : Tensor::empty(y.shape(), {.format = format});
    const auto plan = plan_for(false, x.shape(), y.shape(), format, options);
    plan->forward.execute(onednn_stream(),
                          {{DNNL_ARG_SRC, wrap_as(source, format)}, {DNNL_ARG_DST, wrap_as(target, format)}});
    if (!y.is_dense(format)) copy(target, y);
    count_passed(x, y);
  });
}

void average_backward(const Tensor& dy, const Pool2dOptions& options, const Tensor& dx) {
  if (is_half(dy.dtype())) {
    const Tensor dx32 = empty_like(dx, DType::f32);
    average_backward(as_type(dy, DType::f32), options, dx32);
    return copy(dx32, dx);
  }
  if (dx.numel() == 0) return;
  if (dy.dtype() == DType::f64) return plain::average_pool_backward(dy, options, dx);
  onednn_call("avg_pool2d backward", [&] {
    const MemoryFormat format = dx.format();
    const Tensor source = dense(dy, format);
    const auto plan = plan_for(false, dx.shape(), dy.shape(), format, options);
    plan->backward.execute(onednn_stream(),
                           {{DNNL_ARG_DIFF_DST, wrap_as(source, format)}, {DNNL_ARG_DIFF_SRC, wrap_as(dx, format)}});
    count_passed(dy, dx);
  });
}

// (N, C) as the pooled maps (N, C, 1, 1) that it is.
Tensor as_maps(const Tensor& y) { return y.as_strided({y.size(0), y.size(1), 1, 1}, {y.size(1), 1, 1, 1}); }

Pool2dOptions whole_map(const Tensor& x) {
  return {.kernel = {x.size(2), x.size(3)}, .stride = {x.size(2), x.size(3)}};
}

void global_average(const Tensor& x, const Tensor& y) {
  if (lanes::any_in_lanes(x)) return lanes::global_average(x, y);
  average(x, whole_map(x), as_maps(y));
}

void global_average_backward(const Tensor& dy_any, const Tensor& dx) {
  const Tensor dy = dense(dy_any, MemoryFormat::contiguous);
  if (lanes::any_in_lanes(dx)) return lanes::global_average_backward(dy, dx);
  average_backward(as_maps(dy), whole_map(dx), dx);
}

// The pixels of the large side that are in the small one, and the channels of the small side that are in the large one:
// views of equal shape.
Tensor chosen_pixels(const Tensor& large, const Tensor& small, int64_t stride) {
  Strides s = large.strides();
  s[2] *= stride;
  s[3] *= stride;
  return large.as_strided({large.size(0), large.size(1), small.size(2), small.size(3)}, s);
}
Tensor own_channels(const Tensor& large, const Tensor& small, int64_t before) {
  return small.as_strided(small.shape().replaced(1, large.size(1)), small.strides(), before * small.strides()[1]);
}

void clear(const Tensor& x) {
  if (x.numel()) std::memset(x.raw(), 0, static_cast<std::size_t>(x.numel()) * size_of(x.dtype()));
}

void subsample(const Tensor& x, const SubsampleOptions& options, const Tensor& y) {
  if (lanes::any_in_lanes(y)) return lanes::subsample(x, options, y);
  if (y.size(1) != x.size(1)) clear(y);
  copy(chosen_pixels(x, y, options.stride), own_channels(x, y, options.channels_before));
}

void subsample_backward(const Tensor& dy_any, const SubsampleOptions& options, bool add, const Tensor& dx) {
  const Tensor dy = dense(as_type(dy_any, dx.dtype()), dx.format());
  if (lanes::any_in_lanes(dx)) return lanes::subsample_backward(dy, options, add, dx);
  const Tensor from = own_channels(dx, dy, options.channels_before), to = chosen_pixels(dx, dy, options.stride);
  if (add) return kernels(dx).elementwise.binary(BinaryOp::add, to, from, to);
  if (options.stride != 1) clear(dx);
  copy(from, to);
}

}  // namespace

void fill(PoolKernels& table) {
  table.max = max;
  table.max_backward = max_backward;
  table.average = average;
  table.average_backward = average_backward;
  table.global_average = global_average;
  table.global_average_backward = global_average_backward;
  table.subsample = subsample;
  table.subsample_backward = subsample_backward;
}

}  // namespace engine::cpu
