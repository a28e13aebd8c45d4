#include "engine/cpu/conv_problem.h"

#include "engine/core/parallel.h"
#include "engine/kernels/count_work.h"

namespace engine::cpu {

using dnnl::memory;

ConvProblem describe_conv(const ConvShapes& shapes, const TensorOptions& like, const Conv2dOptions& o, bool bias) {
  const auto& [x, w, y] = shapes;
  ConvProblem p;
  p.x = describe(x, strides_of(x, like.format), like.dtype);
  p.y = describe(y, strides_of(y, like.format), like.dtype);
  const memory::dims w_dims = o.groups == 1 ? dims_of(w) : memory::dims{o.groups, w[0] / o.groups, w[1], w[2], w[3]};
  const auto row_major = o.groups == 1 ? memory::format_tag::oihw : memory::format_tag::goihw;
  p.w = {w_dims, memory::data_type::f32, row_major};
  p.w_any = {w_dims, onednn_type(like.dtype), memory::format_tag::any};
  p.dw_any = {w_dims, memory::data_type::f32, memory::format_tag::any};
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
  for (int64_t v : {static_cast<int64_t>(like.format), static_cast<int64_t>(like.dtype), o.stride.h, o.stride.w,
                    o.padding.h, o.padding.w, o.dilation.h, o.dilation.w, o.groups, static_cast<int64_t>(bias),
                    static_cast<int64_t>(num_threads())})
    p.key.push_back(v);
  return p;
}

dnnl::primitive reorder_between(const memory::desc& from, const memory::desc& to) {
  if (from == to) return {};
  return dnnl::reorder(dnnl::reorder::primitive_desc(onednn_engine(), from, onednn_engine(), to));
}

void count_conv_work(const ConvShapes& shapes, DType dtype) { count_conv(shapes.x, shapes.w, shapes.y, dtype); }

}  // namespace engine::cpu
