// What the long-tailed losses derive from the number of training images per class. All results are one value per class.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/core/tensor.h"
#include "ride/losses/constant.h"
#include "ride/variant.h"

namespace ride {

// n_i: training images of class i. Every function throws when a class has none.
using ClassCounts = std::vector<int64_t>;

// LDAM (Cao et al., 2019): m_i proportional to n_i^(-1/4), the rarest class has `max_margin`. In units of cosines.
std::vector<double> ldam_margins(const ClassCounts& counts, double max_margin = 0.5);

// Effective number of samples (Cui et al., 2019): w_i proportional to (1 - beta) / (1 - beta^n_i), sum C. 0 <= beta
// < 1.
std::vector<double> effective_number_weights(const ClassCounts& counts, double beta = 0.9999);

struct TemperatureOptions {
  Variant variant = Variant::reference;
  double eta = 1;       // base temperature
  double gamma = 0.05;  // how much the class frequencies count
};
// Temperatures of the diversity loss, eq. 3: psi_i = gamma C n_i / sum_k n_k + (1 - gamma), and then
//   reference  T_i = eta psi_i / max psi
//   paper      T_i = eta psi_i + eta (1 - max psi)
// Both give the most frequent class eta and rarer ones less. Throws when a temperature is not positive.
std::vector<double> diversity_temperatures(const ClassCounts& counts, const TemperatureOptions& options = {});

// Deferred re-weighting (DRW; Cao et al., 2019): effective-number weights, but only late in the training.
class DeferredWeights {
 public:
  struct Options {
    std::optional<int> reweight_epoch = {};  // weights hold in 1-based epochs greater than this; none: never, 0: always
    double beta = 0.9999;
  };
  DeferredWeights(const ClassCounts& counts, const Options& options);

  void set_epoch(int epoch) { epoch_ = epoch; }  // 1-based
  bool active() const { return reweight_epoch_.has_value() && epoch_ > *reweight_epoch_; }
  // (C) class weights while active, an undefined tensor (no weights) before.
  // In the type and on the device of `like`.
  engine::Tensor weights(const engine::Tensor& like) const;

 private:
  Constant weights_;  // (C)
  std::optional<int> reweight_epoch_;
  int epoch_ = 1;
};

}  // namespace ride
