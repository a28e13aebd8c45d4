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

// Around a recording: what kernels that read the values are asked for while it is made (step_memory.h) is noted and
// written when it has ended, so that the first replay finds what the recorded step itself would have.
void begin_noting(Context& c);
void write_noted(Context& c);

// Set them for what is launched, or replayed, from here on. The values travel as a kernel's parameters, so that no
// host memory has to outlive the call.
void write_step_scalars(Context& c, double lr, int64_t step);
void write_drawn(Context& c, uint64_t drawn);

}  // namespace engine::cuda
