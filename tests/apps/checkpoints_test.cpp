#include "apps/common/checkpoints.h"

#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "engine/io/checkpoint.h"
#include "engine/nn/linear.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "engine/optim/sgd.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace apps;
using engine::Tensor;

namespace {

// A model with an optimizer, after one step, so that neither holds its first values.
struct Run {
  explicit Run(int64_t width) : model({.in_features = 3, .out_features = width}) {
    engine::sum(model(Tensor::full({2, 3}, 1))).backward();
    optimizer.step(0.1);
  }
  std::vector<std::vector<float>> values() const {
    std::vector<std::vector<float>> all;
    for (const auto& dict : {model.state_dict(), optimizer.state_dict()})
      for (const auto& [name, tensor] : dict) all.push_back(tensor.to<float>());
    return all;
  }
  engine::Linear model;
  engine::Sgd optimizer{model.named_parameters(), {.momentum = 0.9}};
};

TrainingState in_an_epoch() {
  TrainingState state;
  state.start_epoch(2);
  state.step = 170;
  state.best_accuracy = 1.0 / 3;
  state.add_batch({.total = Tensor::scalar(0.7), .parts = {{"diversity", Tensor::scalar(-0.1)}}}, 5, 8);
  return state;
}

}  // namespace

TEST_CASE("checkpoints: a run goes on from exactly where it stood") {
  const TemporaryFolder folder;
  const std::string path = folder / "last.safetensors";
  const Run saved(4);
  engine::manual_seed(11);
  engine::default_generator().uniform();
  save_training(path, {}, saved.model.state_dict(), saved.optimizer, in_an_epoch());
  const float next = engine::default_generator().uniform();

  const Run resumed(4);
  const TrainingState state = resume_training(path, {}, resumed.model.state_dict(), resumed.optimizer);
  CHECK(resumed.values() == saved.values());
  CHECK(engine::default_generator().uniform() == next);
  CHECK(state.epoch == 2);
  CHECK(state.batch == 1);
  CHECK(state.step == 171);
  CHECK(state.best_accuracy == 1.0 / 3);
  CHECK(state.accuracy() == 5.0 / 8);
  CHECK(state.losses.mean() == in_an_epoch().losses.mean());
  CHECK(state.losses.parts() == in_an_epoch().losses.parts());
}

TEST_CASE("checkpoints: what doesn't fit is named with the file, and nothing is loaded") {
  const TemporaryFolder folder;
  const std::string path = folder / "last.safetensors";
  const Run saved(4);
  save_training(path, {}, saved.model.state_dict(), saved.optimizer, {});
  const auto refuses = [&](const ride::Recipe& recipe, const Run& run, const engine::Optimizer& optimizer) {
    const auto before = run.values();
    const auto random = engine::default_generator().state();
    const std::string error = error_of([&] { resume_training(path, recipe, run.model.state_dict(), optimizer); });
    CHECK(contains(error, path));
    CHECK(run.values() == before);
    CHECK(engine::default_generator().state() == random);
    return error;
  };
  engine::manual_seed(3);
  const Run other(5), same(4);
  const std::string shapes = refuses({}, other, other.optimizer);
  CHECK(contains(shapes, "model.weight"));
  CHECK(contains(shapes, "optimizer.weight."));
  const engine::Sgd partial({same.model.named_parameters()[0]}, {.momentum = 0.9});  // the model alone fits
  CHECK(contains(refuses({}, same, partial), "extra    optimizer.bias.momentum"));
  ride::Recipe recipe;
  recipe.seed = 2;
  CHECK(contains(refuses(recipe, same, same.optimizer), "seed = 2"));

  const auto damage = [&](const std::string& key, const std::string& text) {
    save_training(path, {}, saved.model.state_dict(), saved.optimizer, {});
    engine::Checkpoint checkpoint = engine::load_checkpoint(path);
    checkpoint.metadata[key] = text;
    engine::save_checkpoint(path, checkpoint);
    return refuses({}, same, same.optimizer);
  };
  CHECK(contains(damage("random_seed", "x"), "\"random_seed\" is \"x\""));
  CHECK(contains(damage("losses", "x"), "no list of sums"));
  CHECK(contains(damage("recipe", "seed = "), "can't be resumed: [recipe] its recipe:1:"));
  CHECK(contains(damage("recipe", "[model]\nformta = 1\n"), "its recipe:2: unknown key \"model.formta\""));
  engine::save_checkpoint(path, {.model = saved.model.state_dict(), .optimizer = {}, .metadata = {}});
  CHECK(contains(refuses({}, same, same.optimizer), "no \"recipe\""));
}

TEST_CASE(
    "checkpoints: a stored recipe without a younger key goes on with the key's default, and with no other value") {
  const TemporaryFolder folder;
  const std::string path = folder / "last.safetensors";
  const Run saved(4);
  ride::Recipe recipe;
  recipe.model.format = "auto";
  const auto save_without_format = [&] {
    save_training(path, recipe, saved.model.state_dict(), saved.optimizer, in_an_epoch());
    engine::Checkpoint checkpoint = engine::load_checkpoint(path);
    std::string& text = checkpoint.metadata["recipe"];
    const std::size_t line = text.find("\nformat = ") + 1;
    REQUIRE(line != 0);
    text.erase(line, text.find('\n', line) + 1 - line);
    engine::save_checkpoint(path, checkpoint);
  };
  save_without_format();
  const Run resumed(4);
  CHECK(resume_training(path, recipe, resumed.model.state_dict(), resumed.optimizer).step == 171);
  CHECK(resumed.values() == saved.values());

  const auto refuses = [&](const ride::Recipe& now) {
    return error_of([&] { resume_training(path, now, resumed.model.state_dict(), resumed.optimizer); });
  };
  ride::Recipe other = recipe;
  other.model.format = "channels_last";
  CHECK(contains(refuses(other), "`format = \"auto\""));
  CHECK(contains(refuses(other), "`format = \"channels_last\""));
  recipe.seed = 2;
  save_without_format();  // what the stored recipe does say still counts
  recipe.seed = 1;
  CHECK(contains(refuses(recipe), "`seed = 2"));
}
