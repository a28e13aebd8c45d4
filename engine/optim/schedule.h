// Learning rates per epoch.
#pragma once
#include <cstdint>
#include <vector>

namespace engine {

// rate(e) for the 0-based epoch e:
//   constant:    lr
//   multi_step:  lr gamma^k, k the number of `steps` with e >= step
//   cosine:      eta_min + (lr - eta_min) (1 + cos(pi e / epochs)) / 2
// times (e + 1) / warmup_epochs while e < warmup_epochs.
struct LrSchedule {
  enum class Kind { constant, multi_step, cosine };

  double lr = 0.1;
  Kind kind = Kind::constant;
  std::vector<int64_t> steps = {};  // multi_step: rising epochs
  double gamma = 0.1;               // multi_step
  int64_t epochs = 0;               // cosine: the epoch at which eta_min is reached (PyTorch's T_max), > 0
  double eta_min = 0;               // cosine
  int64_t warmup_epochs = 0;

  double rate(int64_t epoch) const;
};

}  // namespace engine
