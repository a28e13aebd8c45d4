// Where kernels find the StepScalars of their device.
#pragma once
#include "engine/cuda/device_code.h"
#include "engine/cuda/step_scalars.h"

namespace engine::cuda {

// Where kernels that `op` launches next read `lr` and `step`. Writes them; in a recording, where that would be done
// again at each replay, it notes them for the first one. All calls in one recording must agree on the values.
Global<const StepScalars> step_scalars(const char* op, Context& c, double lr, int64_t step);

// Where kernels launched into a recording find `drawn`; null for kernels that simply run.
Global<const StepScalars> recorded_scalars(Context& c);

}  // namespace engine::cuda
