// ride-train: trains the model of a recipe. The loop in train() is the whole of it.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/common/checkpoints.h"
#include "apps/common/evaluation.h"
#include "apps/common/experiment.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "apps/common/report.h"
#include "apps/common/run_folder.h"
#include "apps/common/signals.h"
#include "apps/common/teacher.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/ops/reduce.h"
#include "engine/optim/sgd.h"
#include "ride/losses/from_recipe.h"
#include "ride/models/describe.h"

namespace {

using engine::Tensor;

struct Options {
  std::string recipe, data, out, resume, teacher;
  std::vector<std::string> set;
  int epochs = 0, threads = 0, loader_threads = 1;
  std::optional<int64_t> seed;
  bool profile = false, describe = false, print_recipe = false, json = false;
};

ride::Recipe resolve(const Options& options) {
  ride::Recipe recipe = ride::load_recipe(options.recipe, options.set);
  if (options.seed) recipe.seed = *options.seed;
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

// Training accuracy of a batch, by the mean of the experts' logits.
int64_t count_right(const ride::ExpertLogits& logits, const Tensor& labels) {
  engine::NoGradGuard no_grad;
  const std::vector<int64_t> predicted = argmax(ride::mean_logits(logits), 1).to<int64_t>(),
                             truth = labels.to<int64_t>();
  int64_t right = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) right += predicted[i] == truth[i];
  return right;
}

int train(const Options& options) {
  const ride::Recipe recipe = resolve(options);
  if (options.print_recipe) return fmt::print("{}", ride::to_toml(recipe)), 0;
  if (options.describe) return describe(recipe, options.json);
  engine::check(!options.data.empty(), "ride-train", "--data DIR is missing: the folder of {}", recipe.data.dataset);
  if (options.threads) engine::set_num_threads(options.threads);
  engine::profile::enable(options.profile);
  apps::catch_stop_signals();

  const apps::ExperimentData data = apps::open_data(recipe, options.data);
  const data::Loader train_batches = apps::train_loader(recipe, data, {.threads = options.loader_threads});
  const data::Loader test_batches = apps::test_loader(recipe, data, options.loader_threads);
  const auto model = apps::make_model(recipe, data.classes());
  const auto teacher = apps::load_teacher(recipe, options.teacher, data.classes());
  ride::RideLoss criterion = ride::training_loss(recipe.loss, data.counts);
  engine::Sgd optimizer(model->named_parameters(), {.momentum = recipe.optim.momentum,
                                                    .weight_decay = recipe.optim.weight_decay,
                                                    .nesterov = recipe.optim.nesterov});
  const engine::LrSchedule schedule = apps::schedule_of(recipe);
  engine::manual_seed(static_cast<uint64_t>(recipe.seed));

  const std::string resume = apps::checkpoint_to_resume(options.resume, options.out);
  apps::TrainingState state =
      resume.empty() ? apps::TrainingState{} : apps::resume_training(resume, recipe, *model, optimizer);
  apps::RunFolder run(options.out, {.resume_step = resume.empty() ? std::nullopt : std::optional(state.step)});
  run.write_recipe(ride::to_toml(recipe));
  run.write_run(apps::run_info(recipe));
  run.log(data.summary());
  if (!resume.empty()) run.log(fmt::format("resumed {} at epoch {} step {}", resume, state.epoch + 1, state.step));
  auto save = [&](const char* name) { apps::save_training(run.checkpoint(name), recipe, *model, optimizer, state); };

  apps::Evaluation last;
  for (; state.epoch < recipe.schedule.epochs; state.start_epoch(state.epoch + 1)) {
    criterion.set_epoch(static_cast<int>(state.epoch) + 1);
    const double lr = schedule.rate(state.epoch);
    model->train();
    apps::Progress progress({.label = fmt::format("epoch {}/{}", state.epoch + 1, recipe.schedule.epochs),
                             .steps = train_batches.batches(),
                             .first_step = state.batch});
    apps::Stopwatch watch;
    for (data::Batch& batch : train_batches.epoch(state.epoch, state.batch)) {
      const ride::ExpertOutput output = model->forward(batch.images);
      ride::LossValue loss = criterion(output.logits, batch.labels);
      if (teacher)
        loss = distill(loss, output.logits, teacher->logits(batch.images), ride::distillation_options(recipe));
      const double value = loss.total.item();
      if (!std::isfinite(value)) {
        run.log(fmt::format("loss is {} at epoch {} step {}: stopped; the last good checkpoint is {}", value,
                            state.epoch + 1, state.step + 1, run.checkpoint("last")));
        return 1;
      }
      optimizer.zero_grad();
      loss.total.backward();
      optimizer.step(lr);

      state.add_batch(value, count_right(output.logits, batch.labels), batch.labels.numel());
      watch.images += batch.labels.numel();
      progress.update(
          {.steps = state.batch, .images = watch.images, .loss = state.mean_loss(), .accuracy = state.accuracy()});
      if (const int signal = apps::stop_signal()) {
        save("last");
        run.log(fmt::format("stopped by signal {} at epoch {} step {}: --resume auto continues", signal,
                            state.epoch + 1, state.step));
        return apps::exit_code_of(signal);
      }
    }
    progress.finish();
    const double seconds = watch.seconds();
    last = apps::evaluate(*model, test_batches, data.counts);
    run.log(apps::epoch_line(state, recipe, lr, seconds, last));
    run.metrics(state.step, state.epoch + 1, apps::epoch_metrics(state, lr, watch.images / seconds, last));
    const bool best = last.metrics.accuracy.value_or(0) > state.best_accuracy;
    if (best) state.best_accuracy = last.metrics.accuracy.value_or(0);
    apps::TrainingState finished = state;
    finished.start_epoch(state.epoch + 1);
    apps::save_training(run.checkpoint("last"), recipe, *model, optimizer, finished);
    if (best) apps::save_training(run.checkpoint("best"), recipe, *model, optimizer, finished);
  }
  if (last.metrics.samples == 0)
    last = apps::evaluate(*model, test_batches, data.counts);  // resumed after the last epoch
  run.log("last epoch\n" + apps::metrics_table({{recipe.name, last.metrics}}) +
          fmt::format("best epoch on the test set: {}", apps::percent(state.best_accuracy)));
  if (options.profile) run.log("profile\n" + engine::profile::table());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Trains the model of a recipe and evaluates it after every epoch."};
  app.add_option("-r,--recipe", options.recipe, "TOML recipe")->required()->check(CLI::ExistingFile);
  app.add_option("--data", options.data, "folder of the data set");
  app.add_option("--set", options.set, "override a key of the recipe: loss.diversity=-0.2 (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--epochs", options.epochs,
                 "train so many epochs; every epoch number of the recipe is scaled in proportion")
      ->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "instead of the recipe's")->check(CLI::NonNegativeNumber);
  app.add_option("--out", options.out, "folder of the run")->default_str("runs/<recipe name>");
  app.add_option("--resume", options.resume,
                 "auto: go on from --out's last checkpoint if there is one; or a checkpoint file");
  app.add_option("--teacher", options.teacher, "checkpoint to distil from, where the recipe's distill.weight is not 0");
  app.add_option("--threads", options.threads, "of computation; 0: as many as cores")->check(CLI::NonNegativeNumber);
  app.add_option("--loader-threads", options.loader_threads, "that prepare images")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--profile", options.profile, "log time, GFLOP/s and GB/s of every op at the end");
  app.add_flag("--describe", options.describe, "print layers, parameters and MACs, and stop");
  app.add_flag("--json", options.json, "with --describe: as JSON");
  app.add_flag("--print-recipe", options.print_recipe, "print the resolved recipe, and stop");
  CLI11_PARSE(app, argc, argv);
  return apps::run_program([&] {
    if (options.out.empty()) options.out = "runs/" + ride::load_recipe(options.recipe, options.set).name;
    return train(options);
  });
}
