#include "engine/ops/loss.h"

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

// On a device that would have to be waited for, gather's own check reports a bad label later.
void check_labels(const Tensor& labels, int64_t classes) {
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

}  // namespace

// l_n = (1 - s) w_{y_n} (-log p_{n,y_n}) + s/C sum_c w_c (-log p_{n,c});   mean: sum_n l_n / sum_n w_{y_n}
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options) {
  check(logits.rank() == 2, "cross_entropy", "logits must be (N, C), got {}", logits.shape());
  const int64_t classes = logits.size(1);
  check(!options.weight.defined() || options.weight.shape() == Shape{classes}, "cross_entropy",
        "weight must be ({},), got {}", classes, options.weight.defined() ? options.weight.shape() : Shape{});
  const Tensor log_p = log_softmax(logits, 1);
  if (labels.dtype() != DType::i64) {
    check(labels.shape() == logits.shape(), "cross_entropy", "soft targets {} must have the logits' shape {}",
          labels.shape(), logits.shape());
    const Tensor targets = full_precision(labels);
    check(targets.dtype() == log_p.dtype(), "cross_entropy", "labels must be i64 classes or {} probabilities, got {}",
          name(log_p.dtype()), name(labels.dtype()));
    return soft_cross_entropy(log_p, targets, options);
  }
  check(labels.shape() == Shape{logits.size(0)}, "cross_entropy", "labels must be ({},), got {}", logits.size(0),
        labels.shape());
  check_labels(labels, classes);

  Tensor each = -squeeze(gather(log_p, 1, unsqueeze(labels, 1)), 1);
  Tensor weights;
  if (options.weight.defined()) {
    weights = index_select(options.weight, 0, labels);
    each = each * weights;
  }
  if (options.label_smoothing > 0) {
    const Tensor all = options.weight.defined() ? log_p * options.weight : log_p;
    const Tensor smooth = -sum(all, {.axes = {1}});
    each = each * (1 - options.label_smoothing) + smooth * (options.label_smoothing / static_cast<double>(classes));
  }
  if (options.reduction == Reduction::mean && weights.defined()) return sum(each) / sum(weights);
  return reduce(each, options.reduction);
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
