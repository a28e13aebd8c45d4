// ride-evaluate: accuracy of a checkpoint on the test set, with all experts, the first K, or through the cascade.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "apps/common/device_options.h"
#include "apps/common/evaluation.h"
#include "apps/common/experiment.h"
#include "apps/common/program.h"
#include "apps/common/report.h"
#include "apps/common/trained_model.h"
#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/io/safetensors.h"
#include "engine/kernels/select.h"
#include "ride/losses/from_recipe.h"
#include "ride/metrics/json.h"

namespace {

struct Options {
  std::string checkpoint, recipe, data, save_logits, precision;
  apps::DeviceOptions device;
  std::vector<std::string> set;
  int64_t experts = 0;
  std::optional<double> threshold;
  int threads = 0;
  bool json = false, no_routing = false, profile = false;
};

void save_logits(const std::string& path, const apps::Evaluation& evaluation) {
  engine::save_safetensors(
      path,
      {{"logits", evaluation.logits}, {"expert_logits", evaluation.expert_logits}, {"labels", evaluation.labels}});
}

double images_per_second(const apps::Evaluation& evaluation) {
  return static_cast<double>(evaluation.metrics.samples) / evaluation.seconds;
}

nlohmann::ordered_json report(const ride::Recipe& recipe, const apps::ExperimentData& data,
                              const apps::Evaluation& evaluation, const ride::Description& description) {
  nlohmann::ordered_json json = {{"recipe", recipe.name},
                                 {"precision", recipe.precision},
                                 {"test_set", data.test->name()},
                                 {"loss", evaluation.loss}};
  json.update(ride::to_json(evaluation.metrics));
  const ride::Cost cost = apps::mean_cost(description, evaluation.metrics);
  json["macs"] = cost.macs;
  json["macs_with_bn"] = cost.macs_with_bn;
  json["parameters"] = description.parameters;
  json["images_per_second"] = images_per_second(evaluation);
  json["train_counts"] = data.counts;
  json["class_names"] = data.test->class_names();
  return json;
}

int evaluate(const Options& options) {
  ride::Recipe recipe = ride::load_recipe(options.recipe, options.set);
  if (!options.precision.empty()) recipe.precision = options.precision;
  const engine::Autocast autocast(apps::precision_of(recipe));
  if (options.threads) engine::set_num_threads(options.threads);
  const apps::ExperimentData data = apps::open_data(recipe, options.data);
  const engine::Device device = options.device.open();
  const data::Loader batches = apps::test_loader(recipe, data, 1, device);
  if (options.profile) engine::profile::set_clock(engine::clock_of(device));
  const apps::TrainedModel trained = apps::load_trained(options.checkpoint, recipe, data.classes(), device);
  const bool routed = trained.assignment && !options.no_routing && options.experts == 0;
  engine::check(!options.threshold || routed, "ride-evaluate",
                "--threshold needs a checkpoint with an assignment module, as ride-route writes");

  const apps::Evaluation evaluation =
      apps::evaluate(*trained.model, batches, data.counts,
                     {.experts = options.experts,
                      .assignment = routed ? trained.assignment.get() : nullptr,
                      .cascade = {.variant = ride::variant_named(recipe.route.variant, "route.variant"),
                                  .threshold = options.threshold.value_or(recipe.route.threshold)},
                      .keep_logits = !options.save_logits.empty(),
                      .profile = options.profile});
  if (options.profile)
    fmt::print(stderr, "{}",
               engine::profile::table({.peaks = engine::kernels(device).peak.measure(apps::precision_of(recipe)),
                                       .steps = std::max<int64_t>(evaluation.batches, 1)}));
  if (!options.save_logits.empty()) save_logits(options.save_logits, evaluation);
  const ride::Description description =
      routed ? apps::describe_with_routing(*trained.model, recipe) : apps::describe_model(*trained.model, recipe);
  if (options.json) {
    fmt::print("{}\n", report(recipe, data, evaluation, description).dump());
    return 0;
  }
  const ride::Cost cost = apps::mean_cost(description, evaluation.metrics);
  fmt::print("{}\n{}{:.2f} M MACs an image ({:.2f} M with batch norm), loss {:.4f}, {:.0f} images/s\n", data.summary(),
             apps::metrics_table({{recipe.name, evaluation.metrics}}), static_cast<double>(cost.macs) / 1e6,
             static_cast<double>(cost.macs_with_bn) / 1e6, evaluation.loss, images_per_second(evaluation));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Evaluates a checkpoint on the test set. One with an assignment module is run as a cascade."};
  app.add_option("--checkpoint", options.checkpoint, "checkpoint, or a bare safetensors file of weights")->required();
  app.add_option("-r,--recipe", options.recipe, "TOML recipe it was trained by")->required()->check(CLI::ExistingFile);
  app.add_option("--data", options.data,
                 "folder of the data set; not needed where it has a default one (fashion-mnist)");
  app.add_option("--set", options.set, "override a key of the recipe (repeatable)")->allow_extra_args(false);
  app.add_option("--precision", options.precision, "of activations, instead of the recipe's: f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--experts", options.experts,
                 "use the first K experts on every image, without routing; 0: all, or those that the cascade calls")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--threshold", options.threshold,
                 "of the cascade: the next expert is called above it; default: the recipe's")
      ->check(CLI::Range(0.0, 1.0));
  app.add_flag("--no-routing", options.no_routing, "all experts on every image, whatever the checkpoint holds");
  app.add_option(
      "--save-logits", options.save_logits,
      "write logits (of the answer), expert_logits and labels to this safetensors file; for a cascade all experts "
      "run a second time, which isn't timed");
  apps::add_device_options(app, options.device);
  app.add_option("--threads", options.threads, "0: as many as cores")->check(CLI::NonNegativeNumber);
  app.add_flag("--json", options.json, "one JSON object");
  app.add_flag("--profile", options.profile,
               "to stderr: time, GFLOP/s and GB/s of every op in a batch, beside what this machine reaches at best. "
               "Each layer is then run by itself on the whole batch; without it a CPU takes groups of images through "
               "several layers at a time, and so less time than these add up to");
  CLI11_PARSE(app, argc, argv);
  return apps::run_program([&] { return evaluate(options); });
}
