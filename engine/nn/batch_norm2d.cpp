#include "engine/nn/batch_norm2d.h"

#include "engine/nn/forward_observer.h"
#include "engine/ops/norm.h"

namespace engine {

BatchNorm2d::BatchNorm2d(const BatchNorm2dOptions& options) : options_(options) {
  check(options.channels > 0, "BatchNorm2d", "channels must be positive, got {}", options.channels);
  const Shape shape{options.channels};
  weight_ = register_parameter("weight", Tensor::full(shape, 1));
  bias_ = register_parameter("bias", Tensor::zeros(shape));
  running_mean_ = register_buffer("running_mean", Tensor::zeros(shape));
  running_var_ = register_buffer("running_var", Tensor::full(shape, 1));
}

Tensor BatchNorm2d::forward(const Tensor& x, const BatchNormFusion& fusion) {
  return ForwardObserver::seen(*this, batch_norm(x, weight_, bias_, running_mean_, running_var_,
                                                 {.training = is_training(),
                                                  .momentum = options_.momentum,
                                                  .eps = options_.eps,
                                                  .residual = fusion.residual,
                                                  .relu = fusion.relu,
                                                  .moments = fusion.moments}));
}

}  // namespace engine
