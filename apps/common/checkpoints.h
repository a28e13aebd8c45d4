// What a training run saves to go on later, and how it goes on.
#pragma once
#include <chrono>
#include <string>

#include "engine/core/state_dict.h"
#include "engine/optim/optimizer.h"
#include "ride/metrics/loss_meter.h"
#include "ride/recipe.h"

namespace apps {

// Where a run stands, between two steps.
struct TrainingState {
  int64_t epoch = 0;  // counts from 0
  int64_t batch = 0;  // batches of this epoch that are done: the sampler's position
  int64_t step = 0;   // since the start of the run
  // Of this epoch so far.
  ride::LossMeter losses = {};
  int64_t right = 0;  // images classified rightly

  double best_accuracy = 0;  // on the test set, over all epochs

  void add_batch(const ride::LossValue& loss, int64_t batch_right, int64_t batch_images);
  void start_epoch(int64_t next);
  double accuracy() const;
};

// Writes the model's state dict, the optimizer, position, random state and the resolved recipe to one file, atomically.
void save_training(const std::string& path, const ride::Recipe& recipe, const engine::StateDict& model,
                   const engine::Optimizer& optimizer, const TrainingState& state);

// Loads them back into the tensors of `model` and of the optimizer and restores the default random generator. Throws,
// with nothing loaded, when the file is no training checkpoint, holds another architecture or optimizer (all names that
// do not fit are listed) or was trained by another recipe (the first differing line is named; keys that the stored
// recipe lacks, younger than the checkpoint, count with their defaults).
TrainingState resume_training(const std::string& path, const ride::Recipe& recipe, const engine::StateDict& model,
                              const engine::Optimizer& optimizer);

// Seconds and images since it was made.
struct Stopwatch {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  int64_t images = 0;
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }
};

}  // namespace apps
