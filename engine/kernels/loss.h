// The losses of several classifiers of one batch, in one pass over their logits.
#pragma once
#include <vector>

#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

// Members e = 1..E with logits z_e (N, C), zbar their mean, and labels y:
//
//   cross_entropy = 1/W sum_e sum_n [ (1 - s) w_y (-log p_y) + s/C sum_c w_c (-log p_c) ]
//                   p = softmax(z_en - margin_y at c = y),  W = sum_n w_y, or 1 for the sum
//   divergence    = 1/N sum_e sum_n KL( softmax(zbar_n / T) || softmax(z_en / T) ),  the first one without gradient
struct EnsembleLoss {
  static constexpr int most_members = 32;

  std::vector<Tensor> logits = {};  // (N, C) each, contiguous, f32 or f64
  Tensor labels = {};               // (N) i64, contiguous
  // (C) of the logits' dtype, contiguous, or undefined.
  Tensor weight = {}, margins = {}, temperature = {};  // w, margin and T; else 1, 0 and 1
  double label_smoothing = 0;                          // s
  bool mean = true;
  // What the total is made of: cross_entropy * a + divergence * b. The divergence is left out where b is 0.
  double cross_entropy = 1, divergence = 0;

  int64_t members() const { return static_cast<int64_t>(logits.size()); }
};
template <class F>
void for_each_tensor(const EnsembleLoss& loss, F&& f) {
  for (const Tensor& t : loss.logits) f(t);
  for (const Tensor* t : {&loss.labels, &loss.weight, &loss.margins, &loss.temperature}) f(*t);
}
inline void for_each_tensor(const std::vector<Tensor>& tensors, auto&& f) {
  for (const Tensor& t : tensors) f(t);
}

// The result of a pass, of the logits' dtype, for the backward to go on from.
struct EnsembleLossResult {
  Tensor parts;   // (4): the total, its cross entropy (times a) and its divergence (times b), W
  Tensor shifts;  // (N, 1 + 2 E): log sum e^x of zbar / T, then of each member's z - margin and z / T
};
template <class F>
void for_each_tensor(const EnsembleLossResult& r, F&& f) {
  f(r.parts);
  f(r.shifts);
}

struct LossKernels {
  Slot<void(const EnsembleLoss&, const EnsembleLossResult&)> ensemble{"ensemble_loss"};
  // dlogits: one for each member, laid out as its logits; dtotal a scalar.
  Slot<void(const EnsembleLoss&, const EnsembleLossResult&, const Tensor& dtotal, const std::vector<Tensor>& dlogits)>
      ensemble_backward{"ensemble_loss backward"};
};

}  // namespace engine
