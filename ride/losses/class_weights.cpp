#include "ride/losses/class_weights.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/error.h"
#include "engine/ops/shape_ops.h"

namespace ride {
namespace {

void check_counts(const ClassCounts& counts, const char* where) {
  engine::check(!counts.empty(), where, "no classes: expected the number of training images of every class");
  for (std::size_t i = 0; i < counts.size(); ++i)
    engine::check(counts[i] > 0, where, "class {} has {} training images: every class needs at least one", i,
                  counts[i]);
}

void scale(std::vector<double>& values, double factor) {
  for (double& value : values) value *= factor;
}

}  // namespace

std::vector<double> ldam_margins(const ClassCounts& counts, double max_margin) {
  check_counts(counts, "ldam_margins");
  std::vector<double> margins;
  for (const int64_t n : counts) margins.push_back(std::pow(static_cast<double>(n), -0.25));
  scale(margins, max_margin / std::ranges::max(margins));
  return margins;
}

std::vector<double> effective_number_weights(const ClassCounts& counts, double beta) {
  check_counts(counts, "effective_number_weights");
  engine::check(beta >= 0 && beta < 1, "effective_number_weights", "beta is {}, expected 0 <= beta < 1", beta);
  std::vector<double> weights;
  for (const int64_t n : counts) weights.push_back((1 - beta) / (1 - std::pow(beta, static_cast<double>(n))));
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  scale(weights, static_cast<double>(counts.size()) / sum);
  return weights;
}

std::vector<double> diversity_temperatures(const ClassCounts& counts, const TemperatureOptions& options) {
  check_counts(counts, "diversity_temperatures");
  const double total = static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  const double classes = static_cast<double>(counts.size());
  std::vector<double> psi;
  for (const int64_t n : counts)
    psi.push_back(options.gamma * classes * static_cast<double>(n) / total + 1 - options.gamma);
  const double largest = std::ranges::max(psi);

  std::vector<double> temperatures;
  for (const double value : psi) {
    const double relative = options.variant == Variant::reference ? value / largest : value + 1 - largest;
    temperatures.push_back(options.eta * relative);
    engine::check(temperatures.back() > 0, "diversity_temperatures",
                  "class {} gets temperature {}: eta {} must be positive and gamma {} smaller for these class counts",
                  temperatures.size() - 1, temperatures.back(), options.eta, options.gamma);
  }
  return temperatures;
}

DeferredWeights::DeferredWeights(const ClassCounts& counts, const Options& options)
    : reweight_epoch_(options.reweight_epoch) {
  weights_ = Constant(effective_number_weights(counts, options.beta));
}

engine::Tensor DeferredWeights::weights(const engine::Tensor& like) const {
  return active() ? weights_.as(like) : engine::Tensor{};
}

}  // namespace ride
