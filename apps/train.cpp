// ride-train: trains the model of a recipe. Training::train_epoch is the loop.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/common/checkpoints.h"
#include "apps/common/device_options.h"
#include "apps/common/evaluation.h"
#include "apps/common/experiment.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "apps/common/report.h"
#include "apps/common/run_folder.h"
#include "apps/common/signals.h"
#include "apps/common/step_results.h"
#include "apps/common/teacher.h"
#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/kernels/step_graph.h"
#include "engine/ops/shape_ops.h"
#include "engine/optim/sgd.h"
#include "ride/losses/from_recipe.h"
#include "ride/models/describe.h"

namespace {

using engine::Tensor;

struct Options {
  std::string recipe, data, out, resume, teacher, precision;
  apps::DeviceOptions device;
  std::vector<std::string> set;
  int epochs = 0, threads = 0, loader_threads = 1;
  std::optional<int64_t> seed;
  bool profile = false, graph = false, describe = false, print_recipe = false, json = false;
};

ride::Recipe resolve(const Options& options) {
  ride::Recipe recipe = ride::load_recipe(options.recipe, options.set);
  if (options.seed) recipe.seed = *options.seed;
  if (!options.precision.empty()) recipe.precision = options.precision;
  if (options.epochs)
    for (const std::string& change : ride::scale_epochs(recipe, options.epochs))
      fmt::print(stderr, "recipe: {}\n", change);
  return recipe;
}

int describe(const ride::Recipe& recipe, bool json) {
  const int64_t classes = ride::classes_of(recipe);
  engine::check(classes > 0, "describe", "the recipe's data set has no known number of classes: --set model.classes=N");
  const auto model = apps::make_model(recipe, classes);
  const ride::Description description = apps::describe_with_routing(*model, recipe);
  if (json)
    fmt::print("{}\n", apps::to_json(description).dump());
  else
    fmt::print("{}", description.table());
  return 0;
}

// A run: what the recipe asks for, in the order it is needed, and where it stands.
class Training {
 public:
  Training(const ride::Recipe& recipe, const Options& options);
  int run();  // the exit code

 private:
  std::optional<int> train_epoch(apps::Stopwatch& watch);  // an exit code where the run must stop
  Tensor step(const Tensor& images, const Tensor& labels, double lr);
  Tensor recorded_step(const data::Batch& batch, double lr);
  void finish_epoch(const apps::Stopwatch& watch);
  bool last_epoch() const { return state_.epoch + 1 == recipe_.schedule.epochs; }
  void save(const char* name, const apps::TrainingState& state) const {
    apps::save_training(folder_.checkpoint(name), recipe_, model_->state_dict(), optimizer_, state);
  }

  ride::Recipe recipe_;
  engine::Device device_;
  apps::ExperimentData data_;
  data::Loader train_batches_, test_batches_;
  std::unique_ptr<ride::ResNetCifar> model_;
  std::unique_ptr<apps::Teacher> teacher_;  // null without distillation
  ride::RideLoss criterion_;
  engine::Sgd optimizer_;
  engine::LrSchedule schedule_;
  std::string resumed_;  // the checkpoint it goes on from; empty for a new run
  apps::TrainingState state_;
  apps::RunFolder folder_;
  apps::StepResults results_;
  std::vector<std::string> parts_;          // of the loss, by name
  std::optional<engine::StepGraph> graph_;  // with --graph
  int64_t replayed_ = 0;                    // steps of this epoch
  Tensor graph_images_, graph_labels_, graph_numbers_;
  std::optional<apps::Evaluation> evaluation_;  // the latest
};

Training::Training(const ride::Recipe& recipe, const Options& options)
    : recipe_(recipe),
      device_(options.device.open()),
      data_(apps::open_data(recipe, options.data)),
      train_batches_(apps::train_loader(recipe, data_, {.threads = options.loader_threads, .device = device_})),
      test_batches_(apps::test_loader(recipe, data_, options.loader_threads, device_)),
      model_(apps::make_model(recipe, data_.classes(), device_)),
      teacher_(apps::load_teacher(recipe, options.teacher, data_.classes(), device_)),
      criterion_(ride::training_loss(recipe.loss, data_.counts)),
      optimizer_(model_->named_parameters(), {.momentum = recipe.optim.momentum,
                                              .weight_decay = recipe.optim.weight_decay,
                                              .nesterov = recipe.optim.nesterov}),
      schedule_(apps::schedule_of(recipe)),
      resumed_(apps::checkpoint_to_resume(options.resume, options.out)),
      state_(resumed_.empty() ? apps::TrainingState{}
                              : apps::resume_training(resumed_, recipe, model_->state_dict(), optimizer_)),
      folder_(options.out, {.resume_step = resumed_.empty() ? std::nullopt : std::optional(state_.step)}),
      results_(device_) {
  if (options.graph) graph_.emplace(device_);
  apps::begin_run(folder_, recipe, data_.summary(), device_, {.checkpoint = resumed_, .state = state_});
}

int Training::run() {
  const engine::Autocast autocast(apps::precision_of(recipe_));
  for (; state_.epoch < recipe_.schedule.epochs; state_.start_epoch(state_.epoch + 1)) {
    apps::Stopwatch watch;
    if (const auto stop = train_epoch(watch)) return *stop;
    finish_epoch(watch);
  }
  if (!evaluation_) evaluation_ = apps::evaluate(*model_, test_batches_, data_.counts);  // resumed at its end
  folder_.log("last epoch\n" + apps::metrics_table({{recipe_.name, evaluation_->metrics}}) +
              fmt::format("best epoch on the test set: {}", apps::percent(state_.best_accuracy)));
  return 0;
}

// Forward, loss, backward, update. Returns the step's numbers (StepResults).
Tensor Training::step(const Tensor& images, const Tensor& labels, double lr) {
  const ride::ExpertOutput output = model_->forward(images);
  ride::LossValue loss = criterion_(output.logits, labels);
  if (teacher_) loss = distill(loss, output.logits, teacher_->logits(images), ride::distillation_options(recipe_));
  optimizer_.zero_grad();
  loss.total.backward();
  optimizer_.step(lr);
  parts_.clear();
  for (const auto& [name, value] : loss.parts) parts_.push_back(name);
  return apps::step_numbers(loss, output.logits, labels);
}

// The same as one recorded piece of work: the batch is copied to where the recording reads it, the numbers from where
// it leaves them. A smaller last batch is another piece of work, and simply runs; so it does where it is the first that
// a resumed run meets.
Tensor Training::recorded_step(const data::Batch& batch, double lr) {
  const bool smaller = batch.images.size(0) < train_batches_.options().batch_size && train_batches_.batches() > 1;
  if (smaller) return step(batch.images, batch.labels, lr);
  if (!graph_images_.defined()) {
    graph_images_ = engine::empty_like(batch.images);
    graph_labels_ = engine::empty_like(batch.labels);
  }
  engine::copy_into(batch.images, graph_images_);
  engine::copy_into(batch.labels, graph_labels_);
  graph_->run(
      [&] {
        const Tensor numbers = step(graph_images_, graph_labels_, lr);
        if (!graph_numbers_.defined()) graph_numbers_ = engine::empty_like(numbers);
        engine::copy_into(numbers, graph_numbers_);
      },
      [&] { optimizer_.prepare_replay(lr); });
  replayed_ += graph_->recorded();
  return engine::clone(graph_numbers_);
}

std::optional<int> Training::train_epoch(apps::Stopwatch& watch) {
  criterion_.set_epoch(static_cast<int>(state_.epoch) + 1);
  if (graph_ && state_.epoch == recipe_.loss.reweight_epoch) graph_->reset();  // the loss is another one from here on
  replayed_ = 0;
  const double lr = schedule_.rate(state_.epoch);
  model_->train();
  apps::Progress progress({.label = fmt::format("epoch {}/{}", state_.epoch + 1, recipe_.schedule.epochs),
                           .steps = train_batches_.batches(),
                           .first_step = state_.batch});
  for (const data::Batch& batch : train_batches_.epoch(state_.epoch, state_.batch)) {
    const Tensor numbers = graph_ ? recorded_step(batch, lr) : step(batch.images, batch.labels, lr);
    results_.add(numbers, parts_, batch.labels.numel());
    watch.images += batch.labels.numel();
    const int signal = apps::stop_signal();
    if (!results_.due() && !signal) continue;
    if (const auto stop = apps::read_results(results_, state_, folder_, progress, watch)) return stop;
    if (signal) {
      progress.finish();
      save("last", state_);
      folder_.log(fmt::format("stopped by signal {} at epoch {} step {}: --resume auto continues", signal,
                              state_.epoch + 1, state_.step));
      return apps::exit_code_of(signal);
    }
  }
  return apps::read_results(results_, state_, folder_, progress, watch);
}

// Metrics are written before the checkpoint: a kill between the two drops the line again when the run is resumed.
void Training::finish_epoch(const apps::Stopwatch& watch) {
  const apps::EpochReport report{.lr = schedule_.rate(state_.epoch),
                                 .seconds = watch.seconds(),
                                 .images = watch.images,
                                 .replayed = graph_ ? std::optional(replayed_) : std::nullopt};
  const bool evaluates = (state_.epoch + 1) % recipe_.schedule.evaluate_every == 0 || last_epoch();
  evaluation_.reset();
  if (evaluates) evaluation_ = apps::evaluate(*model_, test_batches_, data_.counts);
  folder_.log(apps::epoch_line(recipe_, state_, report, evaluation_));
  folder_.metrics(state_.step, state_.epoch + 1, apps::epoch_metrics(state_, report, evaluation_));

  const double accuracy = evaluation_ ? evaluation_->metrics.accuracy.value_or(0) : 0;
  const bool best = accuracy > state_.best_accuracy;
  if (best) state_.best_accuracy = accuracy;
  apps::TrainingState finished = state_;
  finished.start_epoch(state_.epoch + 1);
  save("last", finished);
  if (best) save("best", finished);
}

int train(const Options& options) {
  const ride::Recipe recipe = resolve(options);
  if (options.print_recipe) return fmt::print("{}", ride::to_toml(recipe)), 0;
  if (options.describe) return describe(recipe, options.json);
  if (options.threads) engine::set_num_threads(options.threads);
  engine::manual_seed(static_cast<uint64_t>(recipe.seed));
  engine::check(!(options.profile && options.graph), "ride-train",
                "--profile sees no ops in a recorded step: leave out --graph or --profile");
  if (options.profile) engine::profile::set_clock(engine::clock_of(options.device.open()));
  const engine::profile::Enabled profiled(options.profile);
  apps::catch_stop_signals();
  const int code = Training(recipe, options).run();
  if (options.profile) fmt::print("{}", engine::profile::table());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Trains the model of a recipe, evaluates it after every epoch, and can go on where it was stopped."};
  app.add_option("-r,--recipe", options.recipe, "TOML recipe")->required()->check(CLI::ExistingFile);
  app.add_option("--data", options.data,
                 "folder of the data set; not needed where it has a default one (fashion-mnist)");
  app.add_option("--set", options.set, "override a key of the recipe: loss.diversity=-0.2 (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--epochs", options.epochs,
                 "train so many epochs; every epoch number of the recipe is scaled in proportion")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "instead of the recipe's")->check(CLI::NonNegativeNumber);
  app.add_option("--precision", options.precision, "of activations, instead of the recipe's: f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--out", options.out, "folder of the run")->default_str("runs/<recipe name>");
  app.add_option("--resume", options.resume,
                 "auto: go on from --out's last checkpoint if there is one; or a checkpoint file");
  app.add_option("--teacher", options.teacher, "checkpoint to distil from, where the recipe's distill.weight is not 0");
  apps::add_device_options(app, options.device);
  app.add_flag("--graph", options.graph,
               "record a training step once and replay it: spares a GPU's host the work of starting every kernel");
  app.add_option("--threads", options.threads, "of computation; 0: as many as cores")->check(CLI::NonNegativeNumber);
  app.add_option("--loader-threads", options.loader_threads, "that prepare images")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--profile", options.profile,
               "print time, GFLOP/s and GB/s of every op of the training steps at the end");
  app.add_flag("--describe", options.describe, "print layers, parameters and MACs, and stop");
  app.add_flag("--json", options.json, "with --describe: as JSON");
  app.add_flag("--print-recipe", options.print_recipe, "print the resolved recipe, and stop");
  CLI11_PARSE(app, argc, argv);
  return apps::run_program([&] {
    if (options.out.empty()) options.out = "runs/" + ride::load_recipe(options.recipe, options.set).name;
    return train(options);
  });
}
