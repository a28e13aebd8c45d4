// The expert assignment module: after every expert but the last it judges whether a sample needs the next one
// (paper section 3.3).
#pragma once
#include <vector>

#include "engine/core/random.h"
#include "engine/nn/linear.h"
#include "ride/expert_logits.h"
#include "ride/variant.h"

namespace ride {

struct ExpertAssignmentOptions {
  int64_t experts = 3;       // n >= 2; there are n - 1 heads
  int64_t features = 48;     // d: length of an expert's pooled feature
  int64_t classes = 100;     // C
  int64_t top_choices = 30;  // k (z in the paper): logits a head sees; cut to C
  int64_t hidden = 16;       // d'
};

// Head i:  y_ea = W2 (topk(l_i) (+) relu(W1_i v_i)),  v_i = feature / |feature|, the top k logits in falling order.
// W1_i (hidden, features) is each head's own, W2 (1, k + hidden) is shared by all; both have biases. State dict as in
// the authors' code: expert_help_pred_hidden_fcs.<i>.{weight,bias}, expert_help_pred_fc.{weight,bias}.
class ExpertAssignment : public engine::Module {
 public:
  // Weights start normal with deviation sqrt(2 / fan_in), biases uniform in +-1/sqrt(fan_in).
  explicit ExpertAssignment(const ExpertAssignmentOptions& options,
                            engine::Generator& generator = engine::default_generator());

  // features (N, d) of expert `head` and logits (N, C) -> (N): positive where the next expert should be called. Which
  // logits these are is the variant's choice: assignment_inputs().
  engine::Tensor operator()(int64_t head, const engine::Tensor& features, const engine::Tensor& logits) const;

  // All heads at once, for training: features and logits of all n experts -> n - 1 tensors (N).
  std::vector<engine::Tensor> heads(const std::vector<engine::Tensor>& features, const ExpertLogits& expert_logits,
                                    Variant variant) const;

  const ExpertAssignmentOptions& options() const { return options_; }

 private:
  ExpertAssignmentOptions options_;
  std::vector<engine::Linear*> hidden_;
  engine::Linear* shared_ = nullptr;
};

// What head i looks at and is judged by: `reference` the mean of experts 0..i, `paper` expert i alone. One per expert.
std::vector<engine::Tensor> assignment_inputs(const ExpertLogits& expert_logits, Variant variant);

}  // namespace ride
