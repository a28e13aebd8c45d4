// RIDE's loss for co-trained experts: individual, collaborative and diversity terms (paper section 3.2, eqs. 2 to 4).
#pragma once
#include <memory>
#include <optional>

#include "ride/expert_logits.h"
#include "ride/losses/classification.h"
#include "ride/losses/loss_value.h"

namespace ride {

struct RideLossOptions {
  Variant variant = Variant::reference;
  // Weights of the three terms; 0 switches one off.
  double individual = 1;     // every expert classifies on its own
  double collaborative = 0;  // the mean of the experts classifies
  double diversity = -0.45;  // minus lambda: negative values reward experts that disagree
  // Temperatures of the diversity term: eta alone in 1-based epochs up to reweight_epoch, eq. 3 after it (none: never).
  std::optional<int> reweight_epoch = {};
  double eta = 1;
  double gamma = 0.05;
};

// With experts e = 1..n, their logits z_e and mean zbar, L the classification loss, p_e(T) = softmax(z_e / T):
//
//   reference   sum_e [ individual L(z_e) + collaborative L(zbar)
//                       + diversity mean(T)^2 KL(p(zbar, T) without gradient || p_e(T)) ]
//               T has one temperature per class and divides the logit columns; mean(T) is over the classes.
//   paper       1/n sum_e [ individual L(z_e) + collaborative L(zbar)
//                           + diversity / (n - 1) sum_{j != e} KL(p_e(T) || p_j(T)) ]
//               T is "of each sample": sample k divides all its logits by the temperature of its class y_k. Both sides
//               of the divergence have gradients, and no factor T^2 restores their size.
//
// The divergences are summed over classes and averaged over the batch. One expert alone has no diversity term.
// The authors' code trains on L(zbar) in place of L(z_e) whenever its diversity factor is exactly 0. Here 0 just leaves
// the term out; {.individual = 0, .collaborative = 1, .diversity = 0} is what that code does then.
class RideLoss {
 public:
  // `counts` are for the temperatures; they must be those the classification loss was made with.
  RideLoss(std::unique_ptr<ClassificationLoss> classification, const ClassCounts& counts,
           const RideLossOptions& options = {});

  // labels (N) i64. Parts: "individual", "collaborative", "diversity", those that are switched on.
  LossValue operator()(const ExpertLogits& expert_logits, const engine::Tensor& labels) const;

  // Tells the loss, and the classification loss in it, the epoch, counted from 1, before it begins.
  void set_epoch(int epoch);

  const RideLossOptions& options() const { return options_; }

 private:
  // (C) diversity temperatures of this epoch, with their mean.
  struct Temperatures {
    explicit Temperatures(const std::vector<double>& values);
    Constant values;
    double mean;
  };
  const Temperatures& temperatures() const;
  double individual_weight(std::size_t experts) const;
  LossValue in_one_pass(const ExpertLogits& expert_logits, const engine::Tensor& labels,
                        engine::EnsembleLossOptions terms, bool diverse) const;
  engine::Tensor diversity_reference(const ExpertLogits& expert_logits, const engine::Tensor& mean) const;
  engine::Tensor diversity_paper(const ExpertLogits& expert_logits, const engine::Tensor& labels) const;

  std::unique_ptr<ClassificationLoss> classification_;
  RideLossOptions options_;
  Temperatures early_, late_;  // eta for every class; eq. 3
  int epoch_ = 1;
};

}  // namespace ride
