// What ride-bench measures: one configuration.
#pragma once
#include <cstdint>
#include <string>

#include "apps/common/device_options.h"

namespace apps::bench {

struct Options {
  std::string model = "ride-3", mode = "train", precision = "f32";
  DeviceOptions device = {};
  std::string format = "auto";  // the memory format of the network's activations; auto: the model's choice
  int64_t batch = 128;
  int64_t image_size = 0;  // pixels a side; 0: the model's own, 32 or 224
  int steps = 10, warmup = 3;
  bool graph = false;  // the step is recorded once and replayed (engine/kernels/step_graph.h)
  int threads = 0;     // 0: as many as cores
};

}  // namespace apps::bench
