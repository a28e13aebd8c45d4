// Mean losses over an epoch, by name.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "ride/losses/loss_value.h"

namespace ride {

class LossMeter {
 public:
  // The loss of a batch of `samples` samples and its parts; each batch weighs as many as it has samples.
  void add(const LossValue& loss, int64_t samples);

  double mean() const;  // of the total; 0 before the first sample
  int64_t samples() const { return total_.samples; }
  // Parts in the order in which they first came, averaged over the samples of the batches that had them.
  std::vector<std::pair<std::string, double>> parts() const;

  // The sums as text, for a checkpoint; from_text gives a meter back that goes on with the same bits. It throws for
  // other text.
  std::string text() const;
  static LossMeter from_text(const std::string& text);

 private:
  struct Sum {
    std::string name;
    double value = 0;
    int64_t samples = 0;
    double mean() const { return samples == 0 ? 0 : value / static_cast<double>(samples); }
  };
  Sum total_{.name = "loss"};
  std::vector<Sum> parts_;
};

}  // namespace ride
