#include "ride/metrics/loss_meter.h"

#include <algorithm>
#include <sstream>

#include "engine/core/error.h"

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

// A line "name sum samples" each, the total first.
std::string LossMeter::text() const {
  std::string text = fmt::format("{} {} {}\n", total_.name, total_.value, total_.samples);
  for (const Sum& part : parts_) text += fmt::format("{} {} {}\n", part.name, part.value, part.samples);
  return text;
}

LossMeter LossMeter::from_text(const std::string& text) {
  LossMeter meter;
  std::istringstream lines(text);
  lines >> meter.total_.name >> meter.total_.value >> meter.total_.samples;
  for (Sum part; lines >> part.name >> part.value >> part.samples;) meter.parts_.push_back(part);
  engine::check(meter.text() == text, "loss_meter", "\"{}\" is no list of sums: expected lines \"name sum samples\"",
                text);
  return meter;
}

}  // namespace ride
