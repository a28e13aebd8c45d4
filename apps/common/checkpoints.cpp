#include "apps/common/checkpoints.h"

#include <sstream>

#include "engine/core/random.h"

namespace apps {
namespace {

// Where two texts first differ, for a message.
std::string first_difference(const std::string& a, const std::string& b) {
  std::istringstream left(a), right(b);
  std::string x, y;
  while (true) {
    const bool more_left = static_cast<bool>(std::getline(left, x)),
               more_right = static_cast<bool>(std::getline(right, y));
    if (!more_left && !more_right) return "";
    if (x != y || more_left != more_right) return fmt::format("`{}` there, `{}` now", x, y);
  }
}

}  // namespace

void TrainingState::add_batch(double mean_loss, int64_t batch_right, int64_t batch_images) {
  ++batch;
  ++step;
  loss_sum += mean_loss * static_cast<double>(batch_images);
  right += batch_right;
  images += batch_images;
}

void TrainingState::start_epoch(int64_t next) {
  epoch = next;
  batch = 0;
  loss_sum = 0;
  right = images = 0;
}

void save_training(const std::string& path, const ride::Recipe& recipe, const ride::ResNetCifar& model,
                   const engine::Optimizer& optimizer, const TrainingState& state) {
  const engine::Generator::State random = engine::default_generator().state();
  engine::save_checkpoint(path, {.model = model.state_dict(),
                                 .optimizer = optimizer.state_dict(),
                                 .metadata = {{"format", "pt"},
                                              {"recipe", ride::to_toml(recipe)},
                                              {"epoch", std::to_string(state.epoch)},
                                              {"batch", std::to_string(state.batch)},
                                              {"step", std::to_string(state.step)},
                                              {"loss_sum", fmt::format("{}", state.loss_sum)},
                                              {"right", std::to_string(state.right)},
                                              {"images", std::to_string(state.images)},
                                              {"best_accuracy", fmt::format("{}", state.best_accuracy)},
                                              {"random_seed", std::to_string(random.seed)},
                                              {"random_stream", std::to_string(random.stream)},
                                              {"random_position", std::to_string(random.position)}}});
}

TrainingState resume_training(const std::string& path, const ride::Recipe& recipe, const ride::ResNetCifar& model,
                              const engine::Optimizer& optimizer) {
  const engine::Checkpoint checkpoint = engine::load_checkpoint(path);
  const std::string difference = first_difference(checkpoint.text("recipe"), ride::to_toml(recipe));
  engine::check(difference.empty(), "resume",
                "{} was trained by another recipe ({}): give the same recipe, or another --out", path, difference);
  engine::load_state(checkpoint.model, model.state_dict(), {.source = path});
  engine::load_state(checkpoint.optimizer, optimizer.state_dict(), {.source = path});
  auto word = [&](const char* key) { return static_cast<uint64_t>(std::stoull(checkpoint.text(key))); };
  engine::default_generator().set_state({word("random_seed"), word("random_stream"), word("random_position")});
  TrainingState state;
  state.epoch = checkpoint.integer("epoch");
  state.batch = checkpoint.integer("batch");
  state.step = checkpoint.integer("step");
  state.loss_sum = checkpoint.real("loss_sum");
  state.right = checkpoint.integer("right");
  state.images = checkpoint.integer("images");
  state.best_accuracy = checkpoint.real("best_accuracy");
  return state;
}

}  // namespace apps
