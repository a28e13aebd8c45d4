#include "ride/losses/softened_kl.h"

#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/softmax.h"

namespace ride {

using engine::Tensor;

Tensor softened_kl(const Tensor& target, const Tensor& logits, const Tensor& temperature) {
  const Tensor target_probabilities = engine::softmax(target.detach() / temperature, 1);
  return engine::kl_div(engine::log_softmax(logits / temperature, 1), target_probabilities);
}

}  // namespace ride
