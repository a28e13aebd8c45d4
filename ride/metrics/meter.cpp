#include "ride/metrics/meter.h"

#include <cmath>
#include <limits>

#include "engine/core/error.h"

namespace ride {
namespace {

std::optional<double> ratio(double part, int64_t whole) {
  return whole == 0 ? std::nullopt : std::optional<double>(part / static_cast<double>(whole));
}

// How many classes come before `label` when the logits of one sample are sorted; other classes' NaN come first.
int64_t rank_of(const float* logits, int64_t classes, int64_t label) {
  if (std::isnan(logits[label])) return std::numeric_limits<int64_t>::max();
  int64_t before = 0;
  for (int64_t c = 0; c < classes; ++c) {
    if (c == label) continue;
    const bool after = logits[c] < logits[label] || (logits[c] == logits[label] && c > label);
    before += after ? 0 : 1;
  }
  return before;
}

}  // namespace

Meter::Meter(std::vector<int64_t> counts) : counts_(std::move(counts)), classes_(counts_.size()) {
  engine::check(!counts_.empty(), "meter", "no classes: expected the number of training images of every class");
}

void Meter::add(const engine::Tensor& logits, const engine::Tensor& labels, const engine::Tensor& experts_used) {
  const int64_t classes = static_cast<int64_t>(counts_.size());
  engine::check(logits.rank() == 2 && logits.size(1) == classes, "meter", "logits must be (N, {}), got {}", classes,
                logits.shape());
  const int64_t n = logits.size(0);
  engine::check(labels.shape() == engine::Shape{n}, "meter", "labels must be ({},), got {}", n, labels.shape());
  engine::check(!experts_used.defined() || experts_used.shape() == engine::Shape{n}, "meter",
                "experts_used must be ({},), got {}", n,
                experts_used.defined() ? experts_used.shape() : engine::Shape{});
  const bool counting_experts = !samples_by_experts_.empty();
  engine::check(n == 0 || samples() == 0 || counting_experts == experts_used.defined(), "meter",
                "experts_used must be given with every batch or with none");
  const std::vector<float> z = logits.to<float>();
  const std::vector<int64_t> y = labels.to<int64_t>();
  const std::vector<int64_t> used = experts_used.defined() ? experts_used.to<int64_t>() : std::vector<int64_t>{};
  // All is checked before anything is counted, so that a bad batch leaves the meter as it was.
  for (int64_t i = 0; i < n; ++i) {
    engine::check(y[i] >= 0 && y[i] < classes, "meter", "label {} of sample {} is not in [0, {})", y[i], i, classes);
    engine::check(used.empty() || used[i] >= 1, "meter", "sample {} used {} experts, expected at least 1", i,
                  used.empty() ? 0 : used[i]);
  }

  for (int64_t i = 0; i < n; ++i) {
    const int64_t rank = rank_of(z.data() + i * classes, classes, y[i]);
    Tally& tally = classes_[y[i]];
    ++tally.samples;
    tally.right += rank == 0 ? 1 : 0;
    right_in_5_ += rank < 5 ? 1 : 0;
    if (used.empty()) continue;
    tally.experts += used[i];
    if (samples_by_experts_.size() < static_cast<std::size_t>(used[i])) samples_by_experts_.resize(used[i]);
    ++samples_by_experts_[used[i] - 1];
  }
}

int64_t Meter::samples() const {
  int64_t samples = 0;
  for (const Tally& tally : classes_) samples += tally.samples;
  return samples;
}

SplitMetrics Meter::split(Split which, Variant variant) const {
  SplitMetrics metrics;
  double accuracies = 0;
  int64_t seen = 0, samples = 0, experts = 0;
  for (const int64_t c : classes_in(which, counts_, variant)) {
    const Tally& tally = classes_[c];
    ++metrics.classes;
    if (tally.samples == 0) continue;
    ++seen;
    accuracies += static_cast<double>(tally.right) / static_cast<double>(tally.samples);
    samples += tally.samples;
    experts += tally.experts;
  }
  metrics.accuracy = ratio(accuracies, seen);
  if (!samples_by_experts_.empty()) metrics.experts_used = ratio(static_cast<double>(experts), samples);
  return metrics;
}

Metrics Meter::result() const {
  Metrics metrics;
  int64_t right = 0, experts = 0, seen = 0;
  double accuracies = 0;
  metrics.samples = samples();
  for (const Tally& tally : classes_) {
    metrics.samples_per_class.push_back(tally.samples);
    metrics.per_class.push_back(ratio(static_cast<double>(tally.right), tally.samples));
    right += tally.right;
    experts += tally.experts;
    if (tally.samples == 0) continue;
    ++seen;
    accuracies += *metrics.per_class.back();
  }
  metrics.accuracy = ratio(static_cast<double>(right), metrics.samples);
  metrics.top5 = ratio(static_cast<double>(right_in_5_), metrics.samples);
  metrics.balanced = ratio(accuracies, seen);
  metrics.many = split(Split::many, Variant::reference);
  metrics.medium = split(Split::medium, Variant::reference);
  metrics.few = split(Split::few, Variant::reference);
  metrics.paper_many = split(Split::many, Variant::paper);
  metrics.paper_medium = split(Split::medium, Variant::paper);
  metrics.paper_few = split(Split::few, Variant::paper);
  metrics.samples_by_experts = samples_by_experts_;
  if (!samples_by_experts_.empty()) metrics.experts_used = ratio(static_cast<double>(experts), metrics.samples);
  return metrics;
}

}  // namespace ride
