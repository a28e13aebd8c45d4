#include "apps/common/checkpoints.h"

#include <sstream>

#include "engine/core/random.h"
#include "engine/io/checkpoint.h"

namespace apps {
namespace {

// Where two recipes first differ, for a message; empty where they are equal.
std::string first_difference(const ride::Recipe& a, const ride::Recipe& b) {
  std::istringstream left(ride::to_toml(a)), right(ride::to_toml(b));
  std::string x, y;
  while (true) {
    const bool more_left = static_cast<bool>(std::getline(left, x)),
               more_right = static_cast<bool>(std::getline(right, y));
    if (!more_left && !more_right) return "";
    if (x != y || more_left != more_right) return fmt::format("`{}` there, `{}` now", x, y);
  }
}

// Model and optimizer under one roof, so that one check decides about both.
engine::StateDict joined(const engine::StateDict& model, const engine::StateDict& optimizer) {
  engine::StateDict all;
  for (const auto& [name, tensor] : model) all.emplace_back("model." + name, tensor);
  for (const auto& [name, tensor] : optimizer) all.emplace_back("optimizer." + name, tensor);
  return all;
}

TrainingState state_of(const engine::Checkpoint& checkpoint) {
  TrainingState state;
  state.epoch = checkpoint.integer("epoch");
  state.batch = checkpoint.integer("batch");
  state.step = checkpoint.integer("step");
  state.losses = ride::LossMeter::from_text(checkpoint.text("losses"));
  state.right = checkpoint.integer("right");
  state.best_accuracy = checkpoint.real("best_accuracy");
  return state;
}

engine::Generator::State random_of(const engine::Checkpoint& checkpoint) {
  const auto word = [&](const char* key) { return static_cast<uint64_t>(checkpoint.integer(key)); };
  return {.seed = word("random_seed"), .stream = word("random_stream"), .position = word("random_position")};
}

// 64 bits as the signed number that Checkpoint::integer reads.
std::string text_of(uint64_t word) { return std::to_string(static_cast<int64_t>(word)); }

}  // namespace

void TrainingState::add_batch(const ride::LossValue& loss, int64_t batch_right, int64_t batch_images) {
  ++batch;
  ++step;
  losses.add(loss, batch_images);
  right += batch_right;
}

void TrainingState::start_epoch(int64_t next) {
  epoch = next;
  batch = 0;
  losses = {};
  right = 0;
}

double TrainingState::accuracy() const {
  return losses.samples() ? static_cast<double>(right) / static_cast<double>(losses.samples()) : 0;
}

void save_training(const std::string& path, const ride::Recipe& recipe, const engine::StateDict& model,
                   const engine::Optimizer& optimizer, const TrainingState& state) {
  const engine::Generator::State random = engine::default_generator().state();
  engine::save_checkpoint(path, {.model = model,
                                 .optimizer = optimizer.state_dict(),
                                 .metadata = {{"recipe", ride::to_toml(recipe)},
                                              {"epoch", std::to_string(state.epoch)},
                                              {"batch", std::to_string(state.batch)},
                                              {"step", std::to_string(state.step)},
                                              {"losses", state.losses.text()},
                                              {"right", std::to_string(state.right)},
                                              {"best_accuracy", fmt::format("{}", state.best_accuracy)},
                                              {"random_seed", text_of(random.seed)},
                                              {"random_stream", text_of(random.stream)},
                                              {"random_position", text_of(random.position)}}});
}

TrainingState resume_training(const std::string& path, const ride::Recipe& recipe, const engine::StateDict& model,
                              const engine::Optimizer& optimizer) {
  const engine::Checkpoint checkpoint = engine::load_checkpoint(path);
  std::string difference;
  TrainingState state;
  engine::Generator::State random{};
  try {
    // Parsed, so that a key younger than the checkpoint has its default there too.
    difference = first_difference(ride::parse_recipe(checkpoint.text("recipe"), "its recipe"), recipe);
    state = state_of(checkpoint);
    random = random_of(checkpoint);
  } catch (const engine::Error& error) {
    engine::fail("resume", "{} can't be resumed: {}", path, error.what());
  }
  engine::check(difference.empty(), "resume",
                "{} was trained by another recipe ({}): give the same recipe, or another --out", path, difference);
  engine::load_state(joined(checkpoint.model, checkpoint.optimizer), joined(model, optimizer.state_dict()),
                     {.source = path});
  engine::default_generator().set_state(random);
  return state;
}

}  // namespace apps
