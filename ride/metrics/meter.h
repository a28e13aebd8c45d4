// How good predictions are, batch by batch: accuracy over all, per class and per split, and the experts they took.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "engine/core/tensor.h"
#include "ride/metrics/splits.h"

namespace ride {

// All accuracies in [0, 1]; none where there was nothing to average: no sample, no class in a split.
using Accuracy = std::optional<double>;

struct SplitMetrics {
  int64_t classes = 0;                 // of the split, seen in the test set or not
  Accuracy accuracy;                   // mean over its classes that have test samples
  std::optional<double> experts_used;  // mean over its samples
};

struct Metrics {
  int64_t samples = 0;
  Accuracy accuracy;  // over samples
  Accuracy top5;      // label among the five largest logits (all logits where there are fewer classes)
  Accuracy balanced;  // mean over classes that have test samples
  std::vector<Accuracy> per_class;
  std::vector<int64_t> samples_per_class;
  SplitMetrics many, medium, few;                    // by the authors' thresholds (few: n < 20)
  SplitMetrics paper_many, paper_medium, paper_few;  // by the paper's (few: n <= 20)
  std::optional<double> experts_used;                // mean over samples
  std::vector<int64_t> samples_by_experts;           // entry k: samples that took k + 1 experts; empty if not told
};

class Meter {
 public:
  // counts: training images of every class, which decide the splits.
  explicit Meter(std::vector<int64_t> counts);

  // logits (N, C) of any floating type, labels (N) i64, experts_used (N) i64 >= 1 or none: either in all batches or in
  // none. Among equal logits the lowest class counts as the largest, as in argmax; NaN never counts as right.
  void add(const engine::Tensor& logits, const engine::Tensor& labels, const engine::Tensor& experts_used = {});

  int64_t samples() const;  // added so far
  Metrics result() const;

 private:
  struct Tally {
    int64_t samples = 0, right = 0, experts = 0;
  };
  SplitMetrics split(Split which, Variant variant) const;

  std::vector<int64_t> counts_;
  std::vector<Tally> classes_;
  int64_t right_in_5_ = 0;
  std::vector<int64_t> samples_by_experts_;
};

}  // namespace ride
