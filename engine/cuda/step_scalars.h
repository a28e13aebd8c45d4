// What changes from one training step to the next although the step's kernels and their parameters stay the same. It
// lies in device memory, where the kernels of a recorded step find the new values at each replay:
//
//   write_step_scalars(c, lr, step);
//   write_drawn(c, words);
//   replay
#pragma once
#include "engine/cuda/runtime.h"

namespace engine::cuda {

struct StepScalars {
  double lr;
  int64_t step;    // of AdamW, 1 for the first
  uint64_t drawn;  // random words that the default generator gave since the step was recorded
};

// Set them for what is launched, or replayed, from here on. The values travel as a kernel's parameters, so that no
// host memory has to outlive the call.
void write_step_scalars(Context& c, double lr, int64_t step);
void write_drawn(Context& c, uint64_t drawn);

}  // namespace engine::cuda
