// What changes from one training step to the next although the step's kernels and their parameters stay the same. It
// lies in device memory, where the kernels of a recorded step find the new values at each replay:
//
//   write_step_scalars(c, lr, step);
//   recording.replay();
#pragma once
#include "engine/cuda/device_code.h"
#include "engine/cuda/runtime.h"

namespace engine::cuda {

struct StepScalars {
  double lr;
  int64_t step;  // of AdamW, 1 for the first
};

// Sets them for what is launched, or replayed, from here on. The values travel as a kernel's parameters, so that no
// host memory has to outlive the call.
void write_step_scalars(Context& c, double lr, int64_t step);

// Where kernels that `op` launches next read `lr` and `step`. Writes them, but not into a recording, which would write
// the same values at each replay. A device's first call must not be recorded, and all calls in one recording must agree
// on the values.
Global<const StepScalars> step_scalars(const char* op, Context& c, double lr, int64_t step);

}  // namespace engine::cuda
