#include "engine/cpu/lanes/direct.h"

#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/direct_passes.h"
#include "engine/cpu/lanes/plan.h"

namespace engine::cpu::lanes {
namespace {

DirectProblem describe(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& options) {
  return {.groups = (x[0] + images_per_group - 1) / images_per_group,
          .channels = x[1],
          .filters = y[1],
          .in = {x[2], x[3]},
          .out = {y[2], y[3]},
          .kernel = {w[2], w[3]},
          .stride = options.stride,
          .padding = options.padding,
          .dilation = options.dilation};
}

void check_lanes(const char* where, const Tensor& x) {
  check(x.format() == MemoryFormat::batch_lanes && (x.dtype() == DType::f32 || x.dtype() == DType::bf16), where,
        "expects f32 or bf16 in batch_lanes, got {}; convert it with to_format", x.str());
}

// f(p), p the tensor's elements as the kernels' storage type.
template <class F>
void with_storage(const Tensor& x, F&& f) {
  if (x.dtype() == DType::f32)
    f(reinterpret_cast<float*>(x.raw()));
  else
    f(reinterpret_cast<uint16_t*>(x.raw()));
}

}  // namespace

bool direct_covers(const Shape& w_shape, const Conv2dOptions& options) {
  return w_shape.rank() == 4 && options.groups == 1;
}

Tensor direct_forward(const Tensor& x, const Tensor& w_any, const Shape& y_shape, const Conv2dOptions& options) {
  check_lanes("conv2d", x);
  const Tensor w = dense(w_any, MemoryFormat::contiguous);
  const Tensor y = Tensor::empty(y_shape, {.dtype = x.dtype(), .format = MemoryFormat::batch_lanes});
  const DirectProblem problem = describe(x.shape(), w.shape(), y_shape, options);
  if (y.numel() == 0) return y;
  with_storage(x, [&]<class T>(const T* from) {
    forward(problem, direct_kernels(), from, w.data<float>(), reinterpret_cast<T*>(y.raw()));
  });
  count_convolution(y, w.size(1) * w.size(2) * w.size(3), {&x, &w, &y});
  return y;
}

Tensor direct_backward_input(const Tensor& dy, const Tensor& w_any, const Shape& x_shape, const Conv2dOptions& options,
                             const Tensor& onto) {
  check_lanes("conv2d backward_input", dy);
  const Tensor w = dense(w_any, MemoryFormat::contiguous);
  const Tensor dx =
      onto.defined() ? onto : Tensor::empty(x_shape, {.dtype = dy.dtype(), .format = MemoryFormat::batch_lanes});
  const DirectProblem problem = describe(x_shape, w.shape(), dy.shape(), options);
  if (dx.numel() == 0) return dx;
  with_storage(dy, [&]<class T>(const T* from) {
    backward_input(problem, direct_kernels(), from, w.data<float>(), onto.defined(), reinterpret_cast<T*>(dx.raw()));
  });
  count_convolution(dy, w.size(1) * w.size(2) * w.size(3), {&dx, &w, &dy});
  return dx;
}

Tensor direct_backward_weight(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions& options) {
  check_lanes("conv2d backward_weight", dy);
  check_lanes("conv2d backward_weight", x);
  check(x.dtype() == dy.dtype(), "conv2d backward_weight", "expects one type, got x {} and dy {}", x.str(), dy.str());
  if (x.numel() == 0 || dy.numel() == 0) return Tensor::zeros(w_shape);
  const Tensor dw = Tensor::empty(w_shape);
  const DirectProblem problem = describe(x.shape(), w_shape, dy.shape(), options);
  with_storage(dy, [&]<class T>(const T* gradient) {
    backward_weight(problem, direct_kernels(), gradient, reinterpret_cast<const T*>(x.raw()), dw.data<float>());
  });
  count_convolution(dy, dw.size(1) * dw.size(2) * dw.size(3), {&dy, &x, &dw});
  return dw;
}

}  // namespace engine::cpu::lanes
