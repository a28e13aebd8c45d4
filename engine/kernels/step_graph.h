// A training step with fixed shapes and addresses. On a GPU it is recorded once and then replayed as a whole, which
// spares the host's work of starting hundreds of kernels; on the CPU it simply runs.
#pragma once
#include <functional>
#include <memory>

#include "engine/core/device.h"

namespace engine {

// Work recorded on a device.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void replay() = 0;
};

class StepGraph {
 public:
  explicit StepGraph(Device device) : device_(device) {}

  // Does `step`, which must do the same work on the same tensors every time: it reads its batch from tensors that the
  // caller fills (copy_into) and leaves results in tensors that outlive it. It may not wait for the device (item, to),
  // nor copy from the host. The first calls run it, then it is recorded; from then on only its work on the device is
  // repeated (its random numbers are new ones each time), so what the host must do at every step
  // (Optimizer::prepare_replay) belongs in `before_replay`.
  void run(const std::function<void()>& step, const std::function<void()>& before_replay = {});
  // Forgets the recording: for a step that does other work from now on, or other shapes.
  void reset();
  bool recorded() const { return recording_ != nullptr; }

 private:
  Device device_;
  int runs_ = 0;
  std::unique_ptr<Recording> recording_;
};

}  // namespace engine
