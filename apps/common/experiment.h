// From a recipe to the objects of an experiment: model, data, loaders, schedule. Shared by all programs, so that a
// checkpoint is read by the same rules that made it.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/loader.h"
#include "engine/io/checkpoint.h"
#include "engine/optim/schedule.h"
#include "ride/models/resnet_cifar.h"
#include "ride/recipe.h"
#include "ride/routing/expert_assignment.h"

namespace apps {

// The type of activations that the recipe asks for: what Autocast is given.
engine::DType precision_of(const ride::Recipe& recipe);

// The model a recipe describes, freshly initialised from the recipe's seed.
std::unique_ptr<ride::ResNetCifar> make_model(const ride::Recipe& recipe, int64_t classes, engine::Device device = {});

// The assignment module for that model, on its device, initialised from the seed too.
std::unique_ptr<ride::ExpertAssignment> make_assignment(const ride::Recipe& recipe, const ride::ResNetCifar& model);

// The long-tailed training set, the test set, and how many training images each class has.
struct ExperimentData {
  std::shared_ptr<const data::Dataset> train, test;
  std::vector<int64_t> counts;
  std::string draw_hash;  // of the drawn indices; empty where nothing was drawn

  int64_t classes() const { return static_cast<int64_t>(counts.size()); }
  // "subset of CIFAR-100 train: 10847 images of 100 classes (500 to 5 each, draw 1f..); CIFAR-100 test: 10000 images"
  std::string summary() const;
};
// Throws when the recipe's class number is not the data's.
ExperimentData open_data(const ride::Recipe& recipe, const std::string& folder);

// Batches come on `device`, which is open.
struct LoaderChoice {
  int threads = 1;
  int64_t batch = 0;         // 0: the recipe's
  std::string sampler = {};  // empty: the recipe's
  engine::Device device = {};
};
data::Loader train_loader(const ride::Recipe& recipe, const ExperimentData& data, const LoaderChoice& choice);

// How test images become floats.
data::Transform test_transform(const ride::Recipe& recipe);
data::Loader test_loader(const ride::Recipe& recipe, const ExperimentData& data, int threads, engine::Device device);

engine::LrSchedule schedule_of(const ride::Recipe& recipe);

// The tensors of a checkpoint's model that belong to the trained network, and those of its assignment module (empty
// where it has none). Both may lie in one file, as in the authors' own.
struct ModelState {
  engine::StateDict network, assignment;
};
ModelState split_state(const engine::Checkpoint& checkpoint);

// The parameters of a model under its assignment module's: one state dict for both.
engine::StateDict joined_state(const ride::ResNetCifar& model, const ride::ExpertAssignment* assignment);

}  // namespace apps
