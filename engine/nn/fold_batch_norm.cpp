#include "engine/nn/fold_batch_norm.h"

#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"

namespace engine {

FoldedConv2d fold_batch_norm(const Conv2d& conv, const BatchNorm2d& bn) {
  const NoGradGuard no_grad;
  const int64_t channels = conv.weight().size(0);
  check(bn.weight().size(0) == channels, "fold_batch_norm", "{} channels behind a convolution that has {}",
        bn.weight().size(0), channels);
  const Tensor scale = bn.weight() / sqrt(bn.running_var() + bn.options().eps);
  const Tensor mean = conv.bias().defined() ? bn.running_mean() - conv.bias() : bn.running_mean();
  return {.weights = ConstantWeights(contiguous(conv.weight() * reshape(scale, {channels, 1, 1, 1}))),
          .bias = bn.bias() - mean * scale,
          .options = conv.options().conv};
}

}  // namespace engine
