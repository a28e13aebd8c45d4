#include "engine/cuda/step_scalars.h"

#include <map>
#include <optional>

#include "engine/cuda/launch.h"

namespace engine::cuda {
namespace {

struct Place {
  std::byte* memory = nullptr;          // a StepScalars on the device
  std::optional<StepScalars> recorded;  // what the recording under way was asked for
};

// Never freed: recorded steps hold the address.
Place& place(const Context& c) {
  static auto* places = new std::map<int, Place>;
  return (*places)[c.device()];
}

__global__ void write_kernel(StepScalars values, Global<StepScalars> target) {
  if (threadIdx.x == 0) target[0] = values;
}

}  // namespace

void write_step_scalars(Context& c, double lr, int64_t step) {
  Place& p = place(c);
  p.recorded.reset();
  if (!p.memory) {
    c.use();
    void* memory = nullptr;
    ENGINE_CUDA(cudaMalloc(&memory, sizeof(StepScalars)));
    p.memory = static_cast<std::byte*>(memory);
  }
  launch("step scalars", c, {.threads_x = 32}, write_kernel, StepScalars{lr, step},
         memory_as<StepScalars>(p.memory, 1));
}

Global<const StepScalars> step_scalars(const char* op, Context& c, double lr, int64_t step) {
  Place& p = place(c);
  if (!c.recording()) {
    write_step_scalars(c, lr, step);
  } else {
    check(p.memory != nullptr, op, "a step is recorded before any ran: run it once first");
    if (!p.recorded) p.recorded = StepScalars{lr, step};
    check(p.recorded->lr == lr && p.recorded->step == step, op,
          "a recorded step has one learning rate and one step count, but {} at step {} is followed by {} at step {}: "
          "use one optimizer in it",
          p.recorded->lr, p.recorded->step, lr, step);
  }
  return memory_as<StepScalars>(p.memory, 1);
}

}  // namespace engine::cuda
