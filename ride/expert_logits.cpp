#include "ride/expert_logits.h"

#include "engine/core/error.h"
#include "engine/ops/elementwise.h"

namespace ride {

using engine::Tensor;

void check_expert_logits(const ExpertLogits& logits, const char* where) {
  engine::check(!logits.empty(), where, "no experts: expected one (N, C) tensor of logits per expert");
  for (std::size_t e = 0; e < logits.size(); ++e) {
    engine::check(logits[e].rank() == 2, where, "logits of expert {} must be (N, C), got {}", e, logits[e].shape());
    engine::check(logits[e].shape() == logits[0].shape(), where, "logits of expert {} are {}, those of expert 0 {}", e,
                  logits[e].shape(), logits[0].shape());
  }
}

std::vector<Tensor> cumulative_means(const ExpertLogits& logits) {
  check_expert_logits(logits, "cumulative_means");
  std::vector<Tensor> means{logits[0]};
  Tensor sum = logits[0];
  for (std::size_t e = 1; e < logits.size(); ++e) {
    sum = sum + logits[e];
    means.push_back(sum / static_cast<double>(e + 1));
  }
  return means;
}

Tensor mean_logits(const ExpertLogits& logits) {
  check_expert_logits(logits, "mean_logits");
  Tensor sum = logits[0];
  for (std::size_t e = 1; e < logits.size(); ++e) sum = sum + logits[e];
  return logits.size() == 1 ? sum : sum / static_cast<double>(logits.size());
}

}  // namespace ride
