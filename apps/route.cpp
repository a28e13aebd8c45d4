// ride-route: trains the expert assignment module on a finished model (the paper's second stage). Everything else is
// frozen: batch norm keeps its statistics and nothing but the assignment's parameters moves.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <cmath>

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
#include "apps/common/trained_model.h"
#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/kernels/select.h"
#include "engine/optim/sgd.h"
#include "ride/losses/from_recipe.h"
#include "ride/routing/routing_loss.h"

namespace {

struct Options {
  std::string checkpoint, recipe, data, out, resume, precision;
  apps::DeviceOptions device;
  std::vector<std::string> set;
  std::optional<int64_t> seed;
  int threads = 0, loader_threads = 1;
};

engine::LrSchedule schedule_of(const ride::Recipe::Route& route) {
  return {.lr = route.lr, .kind = engine::LrSchedule::Kind::cosine, .epochs = route.epochs};
}

// The stage: what it needs, in that order, and where it stands.
class Routing {
 public:
  Routing(const ride::Recipe& recipe, const Options& options);
  int run();  // the exit code

 private:
  std::optional<int> train_epoch(apps::Stopwatch& watch);  // an exit code where the run must stop
  void finish_epoch(const apps::Stopwatch& watch);
  engine::StateDict weights() const { return apps::joined_state(*trained_.model, assignment_.get()); }
  void save(const apps::TrainingState& state) const {
    apps::save_training(folder_.checkpoint("last"), recipe_, weights(), optimizer_, state);
  }
  apps::Evaluation evaluate_routed() {
    return apps::evaluate(
        *trained_.model, test_batches_, data_.counts,
        {.assignment = assignment_.get(), .cascade = {.variant = variant_, .threshold = recipe_.route.threshold}});
  }

  ride::Recipe recipe_;
  ride::Variant variant_;
  engine::Device device_;
  apps::ExperimentData data_;
  data::Loader train_batches_, test_batches_;
  apps::TrainedModel trained_;
  std::unique_ptr<ride::ExpertAssignment> assignment_;
  engine::Sgd optimizer_;
  engine::LrSchedule schedule_;
  std::string resumed_;  // the checkpoint it goes on from; empty for a new run
  apps::TrainingState state_;
  apps::RunFolder folder_;
  std::optional<apps::Evaluation> routed_;  // the latest
};

Routing::Routing(const ride::Recipe& recipe, const Options& options)
    : recipe_(recipe),
      variant_(ride::variant_named(recipe.route.variant, "route.variant")),
      device_(options.device.open()),
      data_(apps::open_data(recipe, options.data)),
      train_batches_(apps::train_loader(recipe, data_,
                                        {.threads = options.loader_threads,
                                         .batch = recipe.route.batch,
                                         .sampler = "class-balanced",
                                         .device = device_})),
      test_batches_(apps::test_loader(recipe, data_, options.loader_threads, device_)),
      trained_(apps::load_trained(options.checkpoint, recipe, data_.classes(), device_)),
      assignment_(apps::make_assignment(recipe, *trained_.model)),
      optimizer_(assignment_->named_parameters(), {.momentum = recipe.route.momentum,
                                                   .weight_decay = recipe.route.weight_decay,
                                                   .nesterov = recipe.route.nesterov}),
      schedule_(schedule_of(recipe.route)),
      resumed_(apps::checkpoint_to_resume(options.resume, options.out)),
      state_(resumed_.empty() ? apps::TrainingState{} : apps::resume_training(resumed_, recipe, weights(), optimizer_)),
      folder_(options.out, {.resume_step = resumed_.empty() ? std::nullopt : std::optional(state_.step)}) {
  trained_.model->freeze();
  apps::begin_run(folder_, recipe, data_.summary(), device_, {.checkpoint = resumed_, .state = state_});
}

int Routing::run() {
  const engine::Autocast autocast(apps::precision_of(recipe_));
  for (; state_.epoch < recipe_.route.epochs; state_.start_epoch(state_.epoch + 1)) {
    apps::Stopwatch watch;
    if (const auto stop = train_epoch(watch)) return *stop;
    finish_epoch(watch);
  }
  if (!routed_) routed_ = evaluate_routed();  // resumed at its end
  const apps::Evaluation all = apps::evaluate(*trained_.model, test_batches_, data_.counts);
  const ride::Cost cost = apps::mean_cost(apps::describe_with_routing(*trained_.model, recipe_), routed_->metrics);
  folder_.log("last epoch\n" + apps::metrics_table({{"all experts", all.metrics}, {"routed", routed_->metrics}}) +
              fmt::format("routed: {:.2f} M MACs an image with batch norm\nwritten: {}",
                          static_cast<double>(cost.macs_with_bn) / 1e6, folder_.checkpoint("last")));
  return 0;
}

std::optional<int> Routing::train_epoch(apps::Stopwatch& watch) {
  const double lr = schedule_.rate(state_.epoch);
  apps::Progress progress({.label = fmt::format("epoch {}/{}", state_.epoch + 1, recipe_.route.epochs),
                           .steps = train_batches_.batches(),
                           .first_step = state_.batch,
                           .every = 10});
  apps::StepResults results(device_);
  for (const data::Batch& batch : train_batches_.epoch(state_.epoch, state_.batch)) {
    const ride::ExpertOutput output = trained_.model->forward(batch.images);
    const auto heads = assignment_->heads(output.features, output.logits, variant_);
    const engine::Tensor loss = ride::routing_loss(heads, output.logits, batch.labels,
                                                   {.variant = variant_, .pos_weight = recipe_.route.pos_weight});
    optimizer_.zero_grad();
    loss.backward();
    optimizer_.step(lr);

    results.add(apps::step_numbers({.total = loss, .parts = {}}, output.logits, batch.labels), {},
                batch.labels.numel());
    watch.images += batch.labels.numel();
    const int signal = apps::stop_signal();
    if (!results.due() && !signal) continue;
    if (const auto stop = apps::read_results(results, state_, folder_, progress, watch)) return stop;
    if (signal) {
      progress.finish();
      save(state_);
      folder_.log(fmt::format("stopped by signal {} at epoch {} step {}: --resume auto continues", signal,
                              state_.epoch + 1, state_.step));
      return apps::exit_code_of(signal);
    }
  }
  return apps::read_results(results, state_, folder_, progress, watch);
}

// Metrics are written before the checkpoint: a kill between the two drops the line again when the run is resumed.
void Routing::finish_epoch(const apps::Stopwatch& watch) {
  const double lr = schedule_.rate(state_.epoch), seconds = watch.seconds(), loss = state_.losses.mean();
  routed_ = evaluate_routed();
  const ride::Metrics& metrics = routed_->metrics;
  folder_.log(fmt::format("epoch {}/{}  lr {:.6g}  loss {:.4f}  test {} with {:.2f} experts  {:.1f} s",
                          state_.epoch + 1, recipe_.route.epochs, lr, loss, apps::percent(metrics.accuracy.value_or(0)),
                          metrics.experts_used.value_or(0), seconds));
  folder_.metrics(state_.step, state_.epoch + 1,
                  {{"train/loss", loss},
                   {"val/acc", metrics.accuracy.value_or(0)},
                   {"val/experts", metrics.experts_used.value_or(0)},
                   {"lr", lr}});
  apps::TrainingState finished = state_;
  finished.start_epoch(state_.epoch + 1);
  save(finished);
}

int route(const Options& options) {
  ride::Recipe recipe = ride::load_recipe(options.recipe, options.set);
  if (options.seed) recipe.seed = *options.seed;
  if (!options.precision.empty()) recipe.precision = options.precision;
  if (options.threads) engine::set_num_threads(options.threads);
  engine::check(recipe.model.experts >= 2, "ride-route",
                "the recipe's model has one expert: there is nothing to route");
  engine::check(!apps::is_run_of(options.out, options.checkpoint), "ride-route",
                "--out {} is the run that --checkpoint {} belongs to, and would be overwritten: give another folder",
                options.out, options.checkpoint);
  apps::catch_stop_signals();
  return Routing(recipe, options).run();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Trains the expert assignment module of a finished multi-expert model."};
  app.add_option("--checkpoint", options.checkpoint, "model trained by ride-train, or bare weights")->required();
  app.add_option("-r,--recipe", options.recipe, "TOML recipe it was trained by; its [route] table is used")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--data", options.data,
                 "folder of the data set; not needed where it has a default one (fashion-mnist)");
  app.add_option("--set", options.set, "override a key of the recipe: route.pos_weight=50 (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--seed", options.seed, "instead of the recipe's")->check(CLI::NonNegativeNumber);
  app.add_option("--precision", options.precision, "of activations, instead of the recipe's: f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--out", options.out, "folder of the run; another than the checkpoint's")->required();
  app.add_option("--resume", options.resume,
                 "auto: go on from --out's last checkpoint if there is one; or a checkpoint that ride-route wrote");
  apps::add_device_options(app, options.device);
  app.add_option("--threads", options.threads, "of computation; 0: as many as cores")->check(CLI::NonNegativeNumber);
  app.add_option("--loader-threads", options.loader_threads, "that prepare images")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  return apps::run_program([&] { return route(options); });
}
