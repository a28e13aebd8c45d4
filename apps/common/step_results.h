// What training steps leave on the device: losses and how many images were right. They are read some steps later, all
// together: a host that asks after every step waits for each, and the device then waits for the host.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/common/checkpoints.h"
#include "apps/common/progress.h"
#include "apps/common/run_folder.h"
#include "ride/expert_logits.h"
#include "ride/losses/loss_value.h"

namespace apps {

// One step's numbers in one tensor: (2 + parts) f32, the loss, its parts, and the images whose mean logits are largest
// at their label. Without history, on the logits' device.
engine::Tensor step_numbers(const ride::LossValue& loss, const ride::ExpertLogits& logits,
                            const engine::Tensor& labels);

class StepResults {
 public:
  // `every`: how many steps are read together. 1 on the CPU, where nothing has to be waited for.
  explicit StepResults(engine::Device device) : every_(device.type == engine::DeviceType::cpu ? 1 : 20) {}

  // `names` are those of the loss's parts.
  void add(const engine::Tensor& numbers, std::vector<std::string> names, int64_t images);
  bool empty() const { return steps_.empty(); }
  bool due() const { return static_cast<int64_t>(steps_.size()) >= every_; }
  // Adds the steps to the state in their order, and forgets them. A loss that is not finite ends it: that step is not
  // added, its loss is returned.
  std::optional<double> read_into(TrainingState& state);

 private:
  struct Step {
    engine::Tensor numbers;
    std::vector<std::string> names;
    int64_t images;
  };
  int64_t every_;
  std::vector<Step> steps_;
};

// The same, shown on `progress`, where there are steps to read. Where a loss is not finite this is logged with the
// checkpoint to go back to, and the program's exit code returned.
std::optional<int> read_results(StepResults& results, TrainingState& state, RunFolder& folder, Progress& progress,
                                const Stopwatch& watch);

}  // namespace apps
