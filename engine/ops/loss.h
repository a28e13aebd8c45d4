// Losses over logits (N, C) and their relatives; every one returns a scalar unless reduction is none.
#pragma once
#include <vector>

#include "engine/autograd/node.h"

namespace engine {

enum class Reduction { mean, sum, none };

struct CrossEntropyOptions {
  // (C) class weights. With class labels the mean is then divided by the sum of the weights in the batch, with soft
  // targets by N, as in PyTorch.
  Tensor weight = {};
  double label_smoothing = 0;
  Reduction reduction = Reduction::mean;
};
// labels: (N) i64 classes, or (N, C) probabilities of the logits' dtype (soft targets).
Tensor cross_entropy(const Tensor& logits, const Tensor& labels, const CrossEntropyOptions& options = {});

// Members that classify the same batch, all in one pass over their logits: with zbar the members' mean
//   total = cross_entropy sum_e CE(z_e - margins at the label, y) + divergence sum_e KL(softmax(zbar / T) ||
//           softmax(z_e / T))
// CE as the op of that name has it, KL summed over classes and averaged over the batch. No gradient flows through zbar.
struct EnsembleLossOptions {
  double cross_entropy = 1, divergence = 0;
  Tensor weight = {};       // (C) class weights, as in CrossEntropyOptions
  Tensor margins = {};      // (C) taken off the logit of a sample's own class
  Tensor temperature = {};  // (C) T: divides the logits' columns
  double label_smoothing = 0;
  Reduction reduction = Reduction::mean;  // of CE: mean or sum
};
struct EnsembleLossValue {
  Tensor total;                      // scalar
  Tensor cross_entropy, divergence;  // the two summands of it, without gradients
};
// logits: 1 to EnsembleLoss::most_members of (N, C); labels (N) i64.
EnsembleLossValue ensemble_loss(const std::vector<Tensor>& logits, const Tensor& labels,
                                const EnsembleLossOptions& options = {});

enum class KlReduction { batchmean, sum, none };
// KL(target || exp(log_probabilities)), pointwise target (log target - log_probabilities) with 0 log 0 = 0.
Tensor kl_div(const Tensor& log_probabilities, const Tensor& target, KlReduction reduction = KlReduction::batchmean);

struct BceOptions {
  Tensor pos_weight = {};  // broadcast against the targets: weight of the positive part
  Reduction reduction = Reduction::mean;
};
// -[p y log s(z) + (1 - y) log(1 - s(z))], s the sigmoid, p pos_weight; targets in [0, 1], logits' shape.
Tensor bce_with_logits(const Tensor& logits, const Tensor& targets, const BceOptions& options = {});

struct NormalizeOptions {
  int axis = 1;
  double eps = 1e-12;
};
// x / max(|x|_2, eps) along the axis.
Tensor l2_normalize(const Tensor& x, NormalizeOptions options = {});

}  // namespace engine
