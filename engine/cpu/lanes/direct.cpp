#include "engine/cpu/lanes/direct.h"

#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/direct_passes.h"
#include "engine/cpu/lanes/plan.h"

namespace engine::cpu::lanes {
namespace {

DirectProblem describe(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& options) {
  return {.images = x[0],
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

// y, its epilogue null where there is none. `weights` are as arrange_for_forward leaves them.
Tensor convolve(const DirectProblem& p, const Tensor& x, const Tensor& weights, const ConvEpilogue* epilogue) {
  check_lanes("conv2d", x);
  const Tensor y = Tensor::empty({p.images, p.filters, p.out.h, p.out.w}, x.options());
  if (y.numel() == 0) return y;
  with_storage(x, [&]<class T>(const T* from) {
    Epilogue<T> after;
    if (epilogue) {
      after.bias = epilogue->bias.data<float>();
      after.residual = epilogue->residual.defined() ? reinterpret_cast<const T*>(epilogue->residual.raw()) : nullptr;
      after.relu = epilogue->relu;
    }
    forward(p, direct_kernels(), from, weights, epilogue ? &after : nullptr, reinterpret_cast<T*>(y.raw()));
  });
  count_convolution(y, p.channels * p.kernel.h * p.kernel.w, {&x, &weights, &y});
  return y;
}

}  // namespace

bool direct_covers(const Shape& w_shape, const Conv2dOptions& options) {
  return w_shape.rank() == 4 && options.groups == 1;
}

Tensor direct_forward(const Tensor& x, const Tensor& w_any, const Shape& y_shape, const Conv2dOptions& options) {
  const Tensor w = dense(w_any, MemoryFormat::contiguous);
  const DirectProblem problem = describe(x.shape(), w.shape(), y_shape, options);
  return convolve(problem, x, arrange_for_forward(problem, direct_kernels(), w.data<float>()), nullptr);
}

Tensor direct_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                            const Conv2dOptions& options) {
  const DirectProblem problem = describe(x.shape(), w.values().shape(), y_shape, options);
  const Tensor weights = w.arranged(
      {direct_weights}, [&] { return arrange_for_forward(problem, direct_kernels(), w.values().data<float>()); });
  return convolve(problem, x, weights, &epilogue);
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
