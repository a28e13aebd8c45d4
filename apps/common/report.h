// How results are told: lines and tables for people, key-value pairs for metrics.jsonl, JSON for other programs.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/checkpoints.h"
#include "apps/common/evaluation.h"
#include "apps/common/run_folder.h"
#include "apps/common/table.h"
#include "ride/models/describe.h"

namespace apps {

// Where a run goes on from.
struct Resumed {
  std::string checkpoint;  // empty: it is new
  TrainingState state = {};
};
// Records in a run's folder what it is: the recipe, the command, the data, the device, and the checkpoint it goes on
// from.
void begin_run(RunFolder& folder, const ride::Recipe& recipe, const std::string& data_summary, engine::Device device,
               const Resumed& resumed);

// What an epoch took, besides what TrainingState knows of it.
struct EpochReport {
  double lr = 0;
  double seconds = 0;  // of training
  int64_t images = 0;  // trained on in these seconds; fewer than the epoch has where it was resumed inside
  std::optional<int64_t> replayed = {};  // steps from a recording; none: not told
};

// "epoch 3/30  lr 0.06  loss 4.1 acc 12.3  test 15.2 (many 35.1 medium 8.0 few 0.4) loss 3.9  21.3 s, 509 images/s",
// and ", steps replayed: 84".
std::string epoch_line(const ride::Recipe& recipe, const TrainingState& state, const EpochReport& report,
                       const std::optional<Evaluation>& test);

// The same for metrics.jsonl; val/... only where there was an evaluation.
std::vector<std::pair<std::string, double>> epoch_metrics(const TrainingState& state, const EpochReport& report,
                                                          const std::optional<Evaluation>& test);

// One row per named result: all, many, medium, few, top-5, balanced, experts used (where counted).
std::string metrics_table(const std::vector<std::pair<std::string, ride::Metrics>>& results);

// The model's cost for one image of the recipe's size, and with several experts for each number of them.
ride::Description describe_model(ride::ResNetCifar& model, const ride::Recipe& recipe);
// The same with what the recipe's assignment module adds, where there are several experts to choose from.
ride::Description describe_with_routing(ride::ResNetCifar& model, const ride::Recipe& recipe);

// {"parameters", "macs", "macs_with_bn", "by_experts": [{"experts", "macs", "macs_with_bn"}, ...]}; parameters without
// the assignment module's, which are "assignment_parameters".
nlohmann::ordered_json to_json(const ride::Description& description);

// Mean cost of the samples of an evaluation that used experts as counted in `metrics`.
ride::Cost mean_cost(const ride::Description& description, const ride::Metrics& metrics);

}  // namespace apps
