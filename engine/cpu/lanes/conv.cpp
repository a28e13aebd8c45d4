#include "engine/cpu/lanes/conv.h"

#include "engine/cpu/lanes/direct.h"
#include "engine/cpu/lanes/winograd.h"

namespace engine::cpu::lanes {
namespace {

// The transforms cost as much for three channels as their products save.
constexpr int64_t fewest_channels = 8;

// An empty batch is left to the direct sums, which cut nothing into tiles.
bool by_winograd(const Tensor& x, const Shape& w, const Conv2dOptions& options) {
  return x.numel() > 0 && winograd_covers(w, options) && std::min(w[0], w[1]) >= fewest_channels;
}

}  // namespace

bool conv_covers(const Tensor& x, const Shape& w, const Conv2dOptions& options) {
  return x.format() == MemoryFormat::batch_lanes && (x.dtype() == DType::f32 || x.dtype() == DType::bf16) &&
         direct_covers(w, options);
}

bool conv_by_winograd(const Tensor& x, const Shape& w, const Conv2dOptions& options) {
  return conv_covers(x, w, options) && by_winograd(x, w, options);
}

Tensor conv_forward(const Tensor& x, const Tensor& w, const Shape& y_shape, const Conv2dOptions& options) {
  if (by_winograd(x, w.shape(), options)) return winograd_forward(x, w);
  return direct_forward(x, w, y_shape, options);
}

Tensor conv_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                          const Conv2dOptions& options) {
  if (by_winograd(x, w.values().shape(), options)) return winograd_forward_fused(x, w, epilogue);
  return direct_forward_fused(x, w, epilogue, y_shape, options);
}

Tensor conv_backward_input(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions& options,
                           const Tensor& onto) {
  if (by_winograd(dy, w.shape(), options)) return winograd_backward_input(dy, w, onto);
  return direct_backward_input(dy, w, x_shape, options, onto);
}

Tensor conv_backward_weight(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions& options) {
  if (by_winograd(x, w_shape, options)) return winograd_backward_weight(dy, x);
  return direct_backward_weight(dy, x, w_shape, options);
}

}  // namespace engine::cpu::lanes
