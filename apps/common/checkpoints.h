// What a training run saves to go on later, and how it goes on.
#pragma once
#include <chrono>
#include <string>

#include "engine/io/checkpoint.h"
#include "engine/optim/optimizer.h"
#include "ride/models/resnet_cifar.h"
#include "ride/recipe.h"

namespace apps {

// Where a run stands, between two steps.
struct TrainingState {
  int64_t epoch = 0;    // counts from 0
  int64_t batch = 0;    // batches of this epoch that are done: the sampler's position
  int64_t step = 0;     // since the start of the run
  double loss_sum = 0;  // over the images of this epoch
  int64_t right = 0, images = 0;
  double best_accuracy = 0;  // on the test set, over all epochs

  void add_batch(double mean_loss, int64_t batch_right, int64_t batch_images);
  void start_epoch(int64_t next);
  double mean_loss() const { return images ? loss_sum / static_cast<double>(images) : 0; }
  double accuracy() const { return images ? static_cast<double>(right) / static_cast<double>(images) : 0; }
};

// Writes model, optimizer, position, random state and the resolved recipe to one file, atomically.
void save_training(const std::string& path, const ride::Recipe& recipe, const ride::ResNetCifar& model,
                   const engine::Optimizer& optimizer, const TrainingState& state);

// Loads them back into the model and optimizer and restores the default random generator. Throws, with nothing loaded,
// when the file holds another architecture or was trained by another recipe (the first differing line is named).
TrainingState resume_training(const std::string& path, const ride::Recipe& recipe, const ride::ResNetCifar& model,
                              const engine::Optimizer& optimizer);

// Seconds and images since it was made.
struct Stopwatch {
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  int64_t images = 0;
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); }
};

}  // namespace apps
