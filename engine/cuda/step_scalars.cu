#include "engine/cuda/step_scalars.h"

#include <map>
#include <optional>

#include "engine/cuda/launch.h"
#include "engine/cuda/step_memory.h"

namespace engine::cuda {
namespace {

struct Place {
  std::byte* memory = nullptr;  // a StepScalars on the device
  struct Update {
    double lr;
    int64_t step;
  };
  std::optional<Update> noted;  // what the recording under way was asked for
};

// Never freed: recorded steps hold the address.
Place& place(Context& c) {
  static auto* places = new std::map<int, Place>;
  Place& p = (*places)[c.device()];
  if (!p.memory) {
    c.use();
    void* memory = nullptr;
    ENGINE_CUDA(cudaMalloc(&memory, sizeof(StepScalars)));
    p.memory = static_cast<std::byte*>(memory);
  }
  return p;
}

Global<StepScalars> scalars(const Place& p) { return memory_as<StepScalars>(p.memory, 1); }

__global__ void write_update_kernel(double lr, int64_t step, Global<StepScalars> target) {
  if (threadIdx.x != 0) return;
  StepScalars now = target[0];
  now.lr = lr;
  now.step = step;
  target[0] = now;
}

__global__ void write_drawn_kernel(uint64_t drawn, Global<StepScalars> target) {
  if (threadIdx.x != 0) return;
  StepScalars now = target[0];
  now.drawn = drawn;
  target[0] = now;
}

}  // namespace

void begin_noting(Context& c) { place(c).noted.reset(); }

void write_noted(Context& c) {
  if (const auto noted = place(c).noted) write_step_scalars(c, noted->lr, noted->step);
}

void write_step_scalars(Context& c, double lr, int64_t step) {
  launch("step scalars", c, {.threads_x = 32}, write_update_kernel, lr, step, scalars(place(c)));
}

void write_drawn(Context& c, uint64_t drawn) {
  launch("step scalars", c, {.threads_x = 32}, write_drawn_kernel, drawn, scalars(place(c)));
}

Global<const StepScalars> step_scalars(const char* op, Context& c, double lr, int64_t step) {
  Place& p = place(c);
  if (!c.recording()) {
    write_step_scalars(c, lr, step);
  } else {
    if (!p.noted) p.noted = Place::Update{lr, step};
    check(p.noted->lr == lr && p.noted->step == step, op,
          "a recorded step has one learning rate and one step count, but {} at step {} is followed by {} at step {}: "
          "use one optimizer in it",
          p.noted->lr, p.noted->step, lr, step);
  }
  return scalars(p);
}

Global<const StepScalars> recorded_scalars(Context& c) {
  if (!c.recording()) return nullptr;
  return scalars(place(c));
}

}  // namespace engine::cuda
