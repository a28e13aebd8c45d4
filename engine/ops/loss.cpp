#include "engine/ops/loss.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/index.h"
#include "engine/ops/precision.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "engine/ops/softmax.h"

namespace engine {
namespace {

Tensor reduce(const Tensor& each, Reduction reduction) {
  switch (reduction) {
    case Reduction::mean: return mean(each);
    case Reduction::sum: return sum(each);
    case Reduction::none: return each;
  }
  return each;
}

// On a device they would have to be waited for: there the kernels report a bad label later.
void check_labels(const Tensor& labels, int64_t images, int64_t classes) {
  check(labels.dtype() == DType::i64, "cross_entropy", "labels must be i64 classes, got {}", name(labels.dtype()));
  check(labels.shape() == Shape{images}, "cross_entropy", "labels must be ({},), got {}", images, labels.shape());
  if (labels.device().type != DeviceType::cpu) return;
  for (int64_t label : labels.to<int64_t>())
    check(label >= 0 && label < classes, "cross_entropy", "label {} is outside the {} classes of the logits", label,
          classes);
}

// l_n = - sum_c w_c t_nc log p_nc
Tensor soft_cross_entropy(const Tensor& log_p, Tensor targets, const CrossEntropyOptions& options) {
  const double classes = static_cast<double>(log_p.size(1));
  if (options.label_smoothing > 0)
    targets = affine(targets, {.scale = 1 - options.label_smoothing, .shift = options.label_smoothing / classes});
  Tensor terms = targets * log_p;
  if (options.weight.defined()) terms = terms * options.weight;
  return reduce(-sum(terms, {.axes = {1}}), options.reduction);
}

// l_n = (1 - s) w_{y_n} (-log p_{n,y_n}) + s/C sum_c w_c (-log p_{n,c})
Tensor cross_entropy_of_each(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  const int64_t classes = logits.size(1);
  check_labels(labels, logits.size(0), classes);
  const Tensor log_p = log_softmax(logits, 1);
  Tensor each = -squeeze(gather(log_p, 1, unsqueeze(labels, 1)), 1);
  if (options.weight.defined()) each = each * index_select(options.weight, 0, labels);
  if (options.label_smoothing > 0) {
    const Tensor all = options.weight.defined() ? log_p * options.weight : log_p;
    const Tensor smooth = -sum(all, {.axes = {1}});
    each = each * (1 - options.label_smoothing) + smooth * (options.label_smoothing / static_cast<double>(classes));
  }
  return each;
}

// What the kernels take; the logits and all that is (C) in one type.
EnsembleLoss described(const std::vector<Tensor>& logits, const Tensor& labels, const EnsembleLossOptions& options) {
  check(!logits.empty() && logits.size() <= EnsembleLoss::most_members, "ensemble_loss", "{} members, expected 1 to {}",
        logits.size(), EnsembleLoss::most_members);
  check(options.reduction != Reduction::none, "ensemble_loss", "has a mean or a sum, no value for each sample");
  EnsembleLoss loss{.label_smoothing = options.label_smoothing,
                    .mean = options.reduction == Reduction::mean,
                    .cross_entropy = options.cross_entropy,
                    .divergence = options.divergence};
  for (const Tensor& member : logits) {
    check(member.rank() == 2 && member.shape() == logits[0].shape(), "cross_entropy",
          "logits must be (N, C), the same for all members, got {} and {}", member.shape(), logits[0].shape());
    loss.logits.push_back(contiguous(full_precision(member)));
    const DType first = loss.logits[0].dtype(), other = loss.logits.back().dtype();
    check(is_floating(other) && other == first, "cross_entropy", "logits must have one floating type, got {} and {}",
          name(first), name(other));
  }
  const int64_t images = logits[0].size(0), classes = logits[0].size(1);
  check_labels(labels, images, classes);
  loss.labels = contiguous(labels);
  const auto per_class = [&](const char* what, const Tensor& given) {
    if (!given.defined()) return given;
    const Tensor values = full_precision(given.detach());
    check(values.shape() == Shape{classes}, "cross_entropy", "{} must be ({},), got {}", what, classes, values.shape());
    check(values.dtype() == loss.logits[0].dtype(), "cross_entropy", "{} is {}, the logits are {}: cast one", what,
          name(values.dtype()), name(loss.logits[0].dtype()));
    return contiguous(values);
  };
  loss.weight = per_class("weight", options.weight);
  loss.margins = per_class("margins", options.margins);
  loss.temperature = per_class("temperature", options.temperature);
  return loss;
}

}  // namespace

// With l_n as above, mean: sum_n l_n / sum_n w_{y_n}
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  check(logits.rank() == 2, "cross_entropy", "logits must be (N, C), got {}", logits.shape());
  const int64_t classes = logits.size(1);
  check(!options.weight.defined() || options.weight.shape() == Shape{classes}, "cross_entropy",
        "weight must be ({},), got {}", classes, options.weight.defined() ? options.weight.shape() : Shape{});
  if (labels.dtype() != DType::i64) {
    const Tensor log_p = log_softmax(logits, 1);
    check(labels.shape() == logits.shape(), "cross_entropy", "soft targets {} must have the logits' shape {}",
          labels.shape(), logits.shape());
    const Tensor targets = full_precision(labels);
    check(targets.dtype() == log_p.dtype(), "cross_entropy", "labels must be i64 classes or {} probabilities, got {}",
          name(log_p.dtype()), name(labels.dtype()));
    return soft_cross_entropy(log_p, targets, options);
  }
  if (options.reduction == Reduction::none) return cross_entropy_of_each(logits, labels, options);
  return ensemble_loss(
             {logits}, labels,
             {.weight = options.weight, .label_smoothing = options.label_smoothing, .reduction = options.reduction})
      .total;
}

EnsembleLossValue ensemble_loss(const std::vector<Tensor>& logits, const Tensor& labels,
                                const EnsembleLossOptions& options) {
  const char* name = logits.size() == 1 ? "cross_entropy" : "ensemble_loss";
  profile::Scope scope(name);
  EnsembleLoss loss = described(logits, labels, options);
  const std::vector<Tensor> inputs = loss.logits;
  for (Tensor& member : loss.logits) member = member.detach();
  const TensorOptions like{.dtype = loss.logits[0].dtype(), .device = loss.labels.device()};
  const EnsembleLossResult result{Tensor::empty({4}, like),
                                  Tensor::empty({labels.size(0), 1 + 2 * loss.members()}, like)};
  kernels(labels).loss.ensemble(loss, result);
  const auto part = [&](int64_t i) { return select(result.parts, 0, i); };
  const Tensor total = record(name, part(0), inputs, [loss, result](const Tensor& dtotal, Needs) -> Gradients {
    Gradients dlogits;
    for (const Tensor& member : loss.logits) dlogits.push_back(empty_like(member));
    kernels(dtotal).loss.ensemble_backward(loss, result, dtotal, dlogits);
    return dlogits;
  });
  return {total, part(1), part(2)};
}

// The target's entropy is a constant of log_probabilities, but not of target: both get their gradient.
Tensor kl_div(const Tensor& given_log_probabilities, const Tensor& given_target, KlReduction reduction) {
  const Tensor log_probabilities = full_precision(given_log_probabilities), target = full_precision(given_target);
  check(log_probabilities.shape() == target.shape(), "kl_div", "shapes differ: {} and {}", log_probabilities.shape(),
        target.shape());
  check(log_probabilities.dtype() == target.dtype(), "kl_div", "dtypes differ: {} and {}; cast one",
        name(log_probabilities.dtype()), name(target.dtype()));
  const Tensor tiny = Tensor::scalar(0, target.dtype(), target.device());
  const Tensor one = Tensor::scalar(1, target.dtype(), target.device());
  const Tensor positive = less(tiny, target);
  const Tensor each = target * (log(where(positive, target, one)) - log_probabilities);
  switch (reduction) {
    case KlReduction::batchmean: return sum(each) / static_cast<double>(target.size(0));
    case KlReduction::sum: return sum(each);
    case KlReduction::none: return each;
  }
  return each;
}

// -log s(z) = softplus(-z) and -log(1 - s(z)) = softplus(-z) + z, so l = (1 - y) z + (1 + (p - 1) y) softplus(-z).
Tensor bce_with_logits(const Tensor& given_logits, const Tensor& given_targets, const BceOptions& options) {
  const Tensor logits = full_precision(given_logits), targets = full_precision(given_targets);
  check(logits.shape() == targets.shape(), "bce_with_logits", "logits {} and targets {} differ", logits.shape(),
        targets.shape());
  check(logits.dtype() == targets.dtype(), "bce_with_logits", "logits are {}, targets {}: cast one",
        name(logits.dtype()), name(targets.dtype()));
  Tensor tail = softplus(-logits);
  if (options.pos_weight.defined()) tail = tail * (targets * (options.pos_weight - 1) + 1);
  return reduce((1 - targets) * logits + tail, options.reduction);
}

Tensor l2_normalize(const Tensor& given, NormalizeOptions options) {
  const Tensor x = full_precision(given);
  const Tensor squares = sum(x * x, {.axes = {options.axis}, .keep = true});
  // The root is taken of at least eps^2, so that a zero vector has a zero gradient instead of 0/0.
  return x / sqrt(clamp(squares, {.min = options.eps * options.eps}));
}

}  // namespace engine
