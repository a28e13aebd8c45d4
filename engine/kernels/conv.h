// Convolution kernels. x (N, C, H, W), w (K, C/groups, R, S), b (K) or undefined, y (N, K, P, Q) in x's memory format.
// x, y and their gradients share a type; w and b have that type too, or are f32 beside 16-bit x.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/core/tensor.h"
#include "engine/kernels/norm.h"
#include "engine/kernels/pair.h"
#include "engine/kernels/slot.h"

namespace engine {

struct Conv2dOptions {
  Pair stride = 1;
  Pair padding = 0;
  Pair dilation = 1;
  int64_t groups = 1;
  bool operator==(const Conv2dOptions&) const = default;
};

// Mean and biased variance of each channel (C), f32 (f64 for f64).
struct ChannelMoments {
  Tensor mean, variance;
};

// Weights that stay as they are, for inference, with the copies of them that a back end has arranged as it reads them,
// each under a key of that back end's choice. Copies of this object share them; several threads may.
class ConstantWeights {
 public:
  // (K, C/groups, R, S), row-major; f32, or f64 with f64 images.
  explicit ConstantWeights(Tensor values) : values_(std::move(values)), copies_(std::make_shared<Copies>()) {}

  const Tensor& values() const { return values_; }
  // The copy under `key`, made by make() at the first call.
  template <class Make>
  Tensor arranged(const std::vector<int64_t>& key, Make&& make) {
    const std::lock_guard lock(copies_->mutex);
    Tensor& copy = copies_->by_key[key];
    if (!copy.defined()) copy = make();
    return copy;
  }
  std::size_t copies() const { return copies_->by_key.size(); }

 private:
  struct Copies {
    std::mutex mutex;
    std::map<std::vector<int64_t>, Tensor> by_key;
  };
  Tensor values_;
  std::shared_ptr<Copies> copies_;
};

// What else a convolution does in the pass that writes its result: y = relu?(conv + bias + residual?)
struct ConvEpilogue {
  Tensor bias;           // (K), of the weights' type
  Tensor residual = {};  // shape and type as y
  bool relu = false;
};

template <class F>
void for_each_tensor(const ConstantWeights& w, F&& f) {
  f(w.values());
}
template <class F>
void for_each_tensor(const ConvEpilogue& e, F&& f) {
  f(e.bias);
  f(e.residual);
}

// What a convolution may be given instead of its input x: relu(x scale + shift), (C) f32 values per channel. A batch
// norm's output that only a convolution reads need not be stored.
struct NormalizedInput {
  Tensor scale, shift;
};

struct ConvGradients {
  Tensor dx, dw;  // dw is f32 for 16-bit x
};
struct ConvNormGradients {
  LazyBatchNormGradients norm;
  Tensor dw;
};

struct ConvKernels {
  Slot<Tensor(const Tensor& x, const Tensor& w, const Tensor& b, const Shape& y_shape, const Conv2dOptions&)> forward{
      "conv2d"};
  // As forward without a bias, and y's moments: what batch normalisation asks for next, best taken while y is in a
  // cache.
  Slot<Tensor(const Tensor& x, const Tensor& w, const Shape& y_shape, const Conv2dOptions&,
              const NormalizedInput* input, ChannelMoments&)>
      forward_with_moments{"conv2d with moments"};
  // dx, or onto + dx where `onto` is defined; its memory is the kernel's to use.
  Slot<Tensor(const Tensor& dy, const Tensor& w, const Shape& x_shape, const Conv2dOptions&, const Tensor& onto)>
      backward_input{"conv2d backward_input"};
  // dw is f32 for 16-bit x: it is a sum over all images and pixels.
  Slot<Tensor(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions&,
              const NormalizedInput* input)>
      backward_weight{"conv2d backward_weight"};
  // Both gradients, of one reading of dy where the kernels can; dx as backward_input makes it.
  Slot<ConvGradients(const LazyGradient& dy, const Tensor& x, const Tensor& w, const Conv2dOptions&,
                     const Tensor& onto)>
      backward{"conv2d backward"};
  // Both, and dx taken on through the batch norm and the ReLU that made the convolution's input: best while it is in a
  // cache. That input is `input` of saved.x or, where it is null, saved.y. With a residual its gradient is given too.
  Slot<ConvNormGradients(const LazyGradient& dy, const Tensor& w, const Conv2dOptions&, const BatchNormSaved& saved,
                         const NormalizedInput* input, const Tensor& onto)>
      backward_norm{"conv2d backward_norm"};
  // For inference.
  Slot<Tensor(const Tensor& x, ConstantWeights& w, const ConvEpilogue&, const Shape& y_shape, const Conv2dOptions&)>
      forward_fused{"conv2d_fused"};
};

}  // namespace engine
