#include "ride/losses/ride_loss.h"

#include <algorithm>
#include <numeric>

#include "engine/core/error.h"
#include "engine/kernels/loss.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/index.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "engine/ops/softmax.h"
#include "ride/losses/softened_kl.h"

namespace ride {

using engine::Tensor;

RideLoss::RideLoss(std::unique_ptr<ClassificationLoss> classification, const ClassCounts& counts,
                   const RideLossOptions& options)
    : classification_(std::move(classification)),
      options_(options),
      early_(std::vector<double>(counts.size(), options.eta)),
      late_(diversity_temperatures(counts, {.variant = options.variant, .eta = options.eta, .gamma = options.gamma})) {
  engine::check(classification_ != nullptr, "ride_loss", "needs a classification loss");
  engine::check(options.individual != 0 || options.collaborative != 0, "ride_loss",
                "individual and collaborative are both 0: nothing would learn the labels");
}

void RideLoss::set_epoch(int epoch) {
  epoch_ = epoch;
  classification_->set_epoch(epoch);
}

RideLoss::Temperatures::Temperatures(const std::vector<double>& values)
    : values(values),
      mean(std::accumulate(values.begin(), values.end(), 0.0) /
           static_cast<double>(std::max<std::size_t>(values.size(), 1))) {}

const RideLoss::Temperatures& RideLoss::temperatures() const {
  return options_.reweight_epoch.has_value() && epoch_ > *options_.reweight_epoch ? late_ : early_;
}

// mean(T)^2 sum_e KL(p(zbar, T) || p_e(T))
Tensor RideLoss::diversity_reference(const ExpertLogits& expert_logits, const Tensor& mean) const {
  const Tensor temperature = temperatures().values.as(mean);
  const double average = temperatures().mean;
  Tensor sum = softened_kl(mean, expert_logits[0], temperature);
  for (std::size_t e = 1; e < expert_logits.size(); ++e) sum = sum + softened_kl(mean, expert_logits[e], temperature);
  return sum * (average * average);
}

// 1/(n(n-1)) sum_e sum_{j != e} KL(p_e || p_j). The inner sum is p_e . (n log p_e - sum_j log p_j): linear in n.
Tensor RideLoss::diversity_paper(const ExpertLogits& expert_logits, const Tensor& labels) const {
  const double n = static_cast<double>(expert_logits.size());
  const Tensor temperature =
      engine::unsqueeze(engine::index_select(temperatures().values.as(expert_logits[0]), 0, labels), 1);  // (N, 1)
  std::vector<Tensor> log_p;
  for (const Tensor& logits : expert_logits) log_p.push_back(engine::log_softmax(logits / temperature, 1));
  Tensor log_sum = log_p[0];
  for (std::size_t e = 1; e < log_p.size(); ++e) log_sum = log_sum + log_p[e];
  Tensor sum;
  for (const Tensor& own : log_p) {
    const Tensor divergence = engine::sum(engine::exp(own) * (own * n - log_sum));
    sum = sum.defined() ? sum + divergence : divergence;
  }
  return sum / (n * (n - 1) * static_cast<double>(labels.size(0)));
}

// Of the reference variant the diversity too, where it is wanted: both read the same logits.
LossValue RideLoss::in_one_pass(const ExpertLogits& expert_logits, const Tensor& labels,
                                engine::EnsembleLossOptions terms, bool diverse) const {
  terms.cross_entropy = individual_weight(expert_logits.size());
  if (diverse) {
    terms.divergence = options_.diversity * temperatures().mean * temperatures().mean;
    terms.temperature = temperatures().values.as(expert_logits[0]);
  }
  const engine::EnsembleLossValue value = engine::ensemble_loss(expert_logits, labels, terms);
  LossValue loss{.total = value.total, .parts = {{"individual", value.cross_entropy}}};
  if (diverse) loss.parts.emplace_back("diversity", value.divergence);
  return loss;
}

double RideLoss::individual_weight(std::size_t experts) const {
  return options_.variant == Variant::reference ? options_.individual
                                                : options_.individual / static_cast<double>(experts);
}

LossValue RideLoss::operator()(const ExpertLogits& expert_logits, const Tensor& labels) const {
  check_expert_logits(expert_logits, "ride_loss");
  engine::check(expert_logits[0].size(1) == late_.values.size(), "ride_loss",
                "logits have {} classes, the class counts {}", expert_logits[0].size(1), late_.values.size());
  const std::size_t n = expert_logits.size();
  const bool reference = options_.variant == Variant::reference;

  LossValue loss;
  const auto add = [&loss](const char* part, const Tensor& value) {
    loss.total = loss.total.defined() ? loss.total + value : value;
    loss.parts.emplace_back(part, value.detach());
  };

  bool diversity_left = options_.diversity != 0 && n > 1;
  std::optional<engine::EnsembleLossOptions> terms;
  if (options_.individual != 0 && n <= engine::EnsembleLoss::most_members)
    terms = classification_->as_cross_entropy(expert_logits[0]);
  if (terms) {
    loss = in_one_pass(expert_logits, labels, *terms, reference && diversity_left);
    diversity_left = diversity_left && !reference;
  } else if (options_.individual != 0) {
    Tensor sum = (*classification_)(expert_logits[0], labels);
    for (std::size_t e = 1; e < n; ++e) sum = sum + (*classification_)(expert_logits[e], labels);
    add("individual", sum * individual_weight(n));
  }

  Tensor mean;
  if (options_.collaborative != 0 || (diversity_left && reference)) mean = mean_logits(expert_logits);
  if (options_.collaborative != 0)
    add("collaborative", (*classification_)(mean, labels) *
                             (reference ? static_cast<double>(n) * options_.collaborative : options_.collaborative));
  if (diversity_left)
    add("diversity", options_.diversity * (reference ? diversity_reference(expert_logits, mean)
                                                     : diversity_paper(expert_logits, labels)));
  return loss;
}

}  // namespace ride
