#include "ride/losses/classification.h"

#include "engine/core/error.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/reduce.h"

namespace ride {

using engine::Tensor;

CrossEntropyLoss::CrossEntropyLoss(const ClassCounts& counts, const CrossEntropyLossOptions& options)
    : weights_(counts, options.reweighting), label_smoothing_(options.label_smoothing) {
  engine::check(label_smoothing_ >= 0 && label_smoothing_ < 1, "cross_entropy_loss",
                "label_smoothing is {}, expected 0 <= label_smoothing < 1", label_smoothing_);
}

std::optional<engine::EnsembleLossOptions> CrossEntropyLoss::as_cross_entropy(const Tensor& logits) const {
  return engine::EnsembleLossOptions{.weight = weights_.weights(logits), .label_smoothing = label_smoothing_};
}

Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& labels) const {
  return engine::ensemble_loss({logits}, labels, *as_cross_entropy(logits)).total;
}

FocalLoss::FocalLoss(const ClassCounts& counts, const FocalOptions& options)
    : weights_(counts, options.reweighting), gamma_(options.gamma) {
  engine::check(gamma_ >= 0, "focal", "gamma is {}, expected >= 0", gamma_);
}

// c = w_y CE(z, y);   L = 1/N sum (1 - e^-c)^gamma c
Tensor FocalLoss::operator()(const Tensor& logits, const Tensor& labels) const {
  const Tensor c =
      engine::cross_entropy(logits, labels, {.weight = weights_.weights(logits), .reduction = engine::Reduction::none});
  if (gamma_ == 0) return engine::mean(c);
  // c = 0 (a certain prediction) would make the power's derivative infinite for gamma < 1.
  const Tensor doubt = engine::clamp(1 - engine::exp(-c), {.min = 1e-12});
  return engine::mean((gamma_ == 1 ? doubt : engine::pow(doubt, gamma_)) * c);
}

LdamLoss::LdamLoss(const ClassCounts& counts, const LdamOptions& options) : weights_(counts, options.reweighting) {
  engine::check(options.max_margin >= 0, "ldam", "max_margin is {}, expected >= 0", options.max_margin);
  engine::check(options.scale > 0, "ldam", "scale is {}, expected > 0", options.scale);
  std::vector<double> margins = ldam_margins(counts, options.max_margin);
  for (double& margin : margins) margin *= options.scale;
  margins_ = Constant(margins);
}

// z'_c = z_c - s m_y [c = y];   L = CE(z', y)
std::optional<engine::EnsembleLossOptions> LdamLoss::as_cross_entropy(const Tensor& logits) const {
  return engine::EnsembleLossOptions{.weight = weights_.weights(logits), .margins = margins_.as(logits)};
}

Tensor LdamLoss::operator()(const Tensor& logits, const Tensor& labels) const {
  engine::check(logits.rank() == 2 && logits.size(1) == margins_.size(), "ldam", "logits must be (N, {}), got {}",
                margins_.size(), logits.shape());
  return engine::ensemble_loss({logits}, labels, *as_cross_entropy(logits)).total;
}

}  // namespace ride
