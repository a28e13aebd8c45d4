#include "engine/optim/schedule.h"

#include <cmath>
#include <numbers>

#include "engine/core/error.h"

namespace engine {

double LrSchedule::rate(int64_t epoch) const {
  check(epoch >= 0, "schedule", "epochs count from 0, got {}", epoch);
  double rate = lr;
  if (kind == Kind::multi_step) {
    for (const int64_t step : steps)
      if (epoch >= step) rate *= gamma;
  } else if (kind == Kind::cosine) {
    check(epochs > 0, "schedule", "a cosine schedule needs its number of epochs");
    const double progress = static_cast<double>(epoch) / static_cast<double>(epochs);
    rate = eta_min + (lr - eta_min) * (1 + std::cos(std::numbers::pi * progress)) / 2;
  }
  if (epoch < warmup_epochs) rate *= static_cast<double>(epoch + 1) / static_cast<double>(warmup_epochs);
  return rate;
}

}  // namespace engine
