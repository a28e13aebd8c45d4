#include "engine/nn/linear.h"

#include <cmath>

#include "engine/nn/forward_observer.h"
#include "engine/nn/inference_mode.h"
#include "engine/nn/init.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/matmul.h"

namespace engine {
namespace {

void check_features(const char* layer, int64_t in_features, int64_t out_features) {
  check(in_features > 0 && out_features > 0, layer, "features must be positive, got {} -> {}", in_features,
        out_features);
}

}  // namespace

Linear::Linear(const LinearOptions& options, Generator& generator) {
  check_features("Linear", options.in_features, options.out_features);
  weight_ = register_parameter("weight", Tensor::empty({options.out_features, options.in_features}));
  init::kaiming_uniform(weight_, generator);
  if (!options.bias) return;
  bias_ = register_parameter("bias", Tensor::empty({options.out_features}));
  init::uniform(bias_, 1 / std::sqrt(static_cast<double>(options.in_features)), generator);
}

Tensor Linear::forward(const Tensor& x) { return ForwardObserver::seen(*this, linear(x, weight_, bias_)); }

NormedLinear::NormedLinear(const NormedLinearOptions& options, Generator& generator) : scale_(options.scale) {
  check_features("NormedLinear", options.in_features, options.out_features);
  weight_ = register_parameter("weight", Tensor::empty({options.in_features, options.out_features}));
  init::unit_columns(weight_, generator);
}

// The scale is applied to the small factor (N, in), not to the logits.
Tensor NormedLinear::forward(const Tensor& x) {
  const Tensor directions = l2_normalize(x, {.axis = 1});
  const auto normalized = [&] { return l2_normalize(weight_, {.axis = 0}); };
  InferenceMode* inference = InferenceMode::current();
  const Tensor columns = inference ? inference->derived(weight_, normalized) : normalized();
  return ForwardObserver::seen(*this, matmul(directions * scale_, columns));
}

}  // namespace engine
