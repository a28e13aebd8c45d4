#include "ride/metrics/loss_meter.h"

#include <algorithm>

namespace ride {

void LossMeter::add(const LossValue& loss, int64_t samples) {
  const auto add_to = [samples](Sum& sum, double value) {
    sum.value += value * static_cast<double>(samples);
    sum.samples += samples;
  };
  add_to(total_, loss.total.item());
  for (const auto& [name, value] : loss.parts) {
    auto part = std::ranges::find(parts_, name, &Sum::name);
    if (part == parts_.end()) part = parts_.insert(parts_.end(), Sum{.name = name});
    add_to(*part, value.item());
  }
}

double LossMeter::mean() const { return total_.mean(); }

std::vector<std::pair<std::string, double>> LossMeter::parts() const {
  std::vector<std::pair<std::string, double>> means;
  for (const Sum& part : parts_) means.emplace_back(part.name, part.mean());
  return means;
}

}  // namespace ride
