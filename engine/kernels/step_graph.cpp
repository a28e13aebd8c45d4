#include "engine/kernels/step_graph.h"

#include "engine/kernels/backend.h"

namespace engine {
namespace {

// Until libraries have made their plans, constants have come from the host and caches hold the blocks.
constexpr int runs_before_recording = 2;

}  // namespace

void StepGraph::run(const std::function<void()>& step, const std::function<void()>& before_replay) {
  if (device_.type == DeviceType::cpu || runs_ < runs_before_recording) {
    ++runs_;
    return step();
  }
  // Recording does the host's part of a step, and none of the device's.
  if (!recording_)
    recording_ = cuda_backend().record(device_.index, step);
  else if (before_replay)
    before_replay();
  recording_->replay();
}

void StepGraph::reset() {
  recording_.reset();
  runs_ = 0;
}

}  // namespace engine
