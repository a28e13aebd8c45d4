// ride-route: trains the expert assignment module on a finished model (the paper's second stage). Everything else is
// frozen: batch norm keeps its statistics and nothing but the assignment's parameters moves.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <cmath>

#include "apps/common/checkpoints.h"
#include "apps/common/evaluation.h"
#include "apps/common/experiment.h"
#include "apps/common/program.h"
#include "apps/common/progress.h"
#include "apps/common/report.h"
#include "apps/common/run_folder.h"
#include "apps/common/signals.h"
#include "apps/common/trained_model.h"
#include "engine/core/parallel.h"
#include "engine/optim/sgd.h"
#include "ride/losses/from_recipe.h"
#include "ride/routing/routing_loss.h"

namespace {

struct Options {
  std::string checkpoint, recipe, data, out;
  std::vector<std::string> set;
  std::optional<int64_t> seed;
  int threads = 0, loader_threads = 1;
};

engine::LrSchedule schedule_of(const ride::Recipe::Route& route) {
  return {.lr = route.lr, .kind = engine::LrSchedule::Kind::cosine, .epochs = route.epochs};
}

int route(const Options& options) {
  ride::Recipe recipe = ride::load_recipe(options.recipe, options.set);
  if (options.seed) recipe.seed = *options.seed;
  if (options.threads) engine::set_num_threads(options.threads);
  engine::check(recipe.model.experts >= 2, "ride-route",
                "the recipe's model has one expert: there is nothing to route");
  apps::catch_stop_signals();
  const ride::Variant variant = ride::variant_named(recipe.route.variant, "route.variant");
  const apps::ExperimentData data = apps::open_data(recipe, options.data);
  const data::Loader train_batches = apps::train_loader(
      recipe, data, {.threads = options.loader_threads, .batch = recipe.route.batch, .sampler = "class-balanced"});
  const data::Loader test_batches = apps::test_loader(recipe, data, options.loader_threads);

  apps::TrainedModel trained = apps::load_trained(options.checkpoint, recipe, data.classes());
  ride::ResNetCifar& model = *trained.model;
  model.freeze();
  const auto assignment = apps::make_assignment(recipe, model);
  engine::Sgd optimizer(assignment->named_parameters(), {.momentum = recipe.route.momentum,
                                                         .weight_decay = recipe.route.weight_decay,
                                                         .nesterov = recipe.route.nesterov});
  const engine::LrSchedule schedule = schedule_of(recipe.route);

  apps::RunFolder run(options.out);
  run.write_recipe(ride::to_toml(recipe));
  run.write_run(apps::run_info(recipe));
  run.log(data.summary());
  apps::Evaluation routed;
  int64_t step = 0;
  for (int64_t epoch = 0; epoch < recipe.route.epochs; ++epoch) {
    const double lr = schedule.rate(epoch);
    apps::Stopwatch watch;
    apps::Progress progress({.label = fmt::format("epoch {}/{}", epoch + 1, recipe.route.epochs),
                             .steps = train_batches.batches(),
                             .every = 10});
    double loss_sum = 0;
    int64_t done = 0;
    for (data::Batch& batch : train_batches.epoch(epoch)) {
      const ride::ExpertOutput output = model.forward(batch.images);
      const auto heads = assignment->heads(output.features, output.logits, variant);
      const engine::Tensor loss = ride::routing_loss(heads, output.logits, batch.labels,
                                                     {.variant = variant, .pos_weight = recipe.route.pos_weight});
      const double value = loss.item();
      engine::check(std::isfinite(value), "ride-route", "loss is {} at epoch {} step {}: stopped, nothing written",
                    value, epoch + 1, step + 1);
      optimizer.zero_grad();
      loss.backward();
      optimizer.step(lr);

      ++step;
      watch.images += batch.labels.numel();
      loss_sum += value * static_cast<double>(batch.labels.numel());
      progress.update({.steps = ++done, .images = watch.images, .loss = loss_sum / static_cast<double>(watch.images)});
      if (const int signal = apps::stop_signal()) {
        run.log(fmt::format("stopped by signal {} at epoch {}: the stage is short and starts anew next time", signal,
                            epoch + 1));
        return apps::exit_code_of(signal);
      }
    }
    progress.finish();
    const double seconds = watch.seconds();
    routed = apps::evaluate_cascade(model, *assignment, test_batches, data.counts,
                                    {.cascade = {.variant = variant, .threshold = recipe.route.threshold}});
    run.log(fmt::format("epoch {}/{}  lr {:.6g}  loss {:.4f}  test {} with {:.2f} experts  {:.1f} s", epoch + 1,
                        recipe.route.epochs, lr, loss_sum / static_cast<double>(watch.images),
                        apps::percent(routed.metrics.accuracy.value_or(0)), routed.metrics.experts_used.value_or(0),
                        seconds));
    run.metrics(step, epoch + 1,
                {{"train/loss", loss_sum / static_cast<double>(watch.images)},
                 {"val/acc", routed.metrics.accuracy.value_or(0)},
                 {"val/experts", routed.metrics.experts_used.value_or(0)},
                 {"lr", lr}});
  }
  engine::save_checkpoint(run.checkpoint("last"), {.model = apps::joined_state(model, assignment.get()),
                                                   .optimizer = {},
                                                   .metadata = {{"format", "pt"}, {"recipe", ride::to_toml(recipe)}}});
  const apps::Evaluation all = apps::evaluate(model, test_batches, data.counts);
  const ride::Cost cost = apps::mean_cost(apps::describe_with_routing(model, recipe), routed.metrics);
  run.log("last epoch\n" + apps::metrics_table({{"all experts", all.metrics}, {"routed", routed.metrics}}) +
          fmt::format("routed: {:.2f} M MACs an image with batch norm\nwritten: {}",
                      static_cast<double>(cost.macs_with_bn) / 1e6, run.checkpoint("last")));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Trains the expert assignment module of a finished multi-expert model."};
  app.add_option("--checkpoint", options.checkpoint, "model trained by ride-train, or bare weights")->required();
  app.add_option("-r,--recipe", options.recipe, "TOML recipe it was trained by; its [route] table is used")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--data", options.data, "folder of the data set")->required();
  app.add_option("--set", options.set, "override a key of the recipe: route.pos_weight=50 (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--seed", options.seed, "instead of the recipe's")->check(CLI::NonNegativeNumber);
  app.add_option("--out", options.out, "folder of the run")->required();
  app.add_option("--threads", options.threads, "of computation; 0: as many as cores")->check(CLI::NonNegativeNumber);
  app.add_option("--loader-threads", options.loader_threads, "that prepare images")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return apps::run_program([&] { return route(options); });
}
