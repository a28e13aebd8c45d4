// ride-bench: how fast a model trains or infers here. Random inputs, no data loading; a training step is forward, loss,
// backward and SGD, as in a real run.
#include <sys/resource.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/common/experiment.h"
#include "apps/common/program.h"
#include "engine/core/allocator.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/optim/sgd.h"
#include "ride/losses/from_recipe.h"

namespace {

using engine::Tensor;

struct Options {
  std::string model = "ride-3", mode = "train", precision = "f32", device = "cpu";
  int64_t batch = 128;
  int steps = 10, warmup = 3, threads = 0;
  bool json = false, profile = false;
};

// resnet32 is one expert of full width; ride-N has N reduced experts.
ride::Recipe recipe_of(const Options& options) {
  ride::Recipe recipe;
  if (options.model == "resnet32") {
    recipe.model.experts = 1;
    recipe.model.reduce_dimension = false;
  } else {
    const int experts = options.model.starts_with("ride-") ? std::atoi(options.model.c_str() + 5) : 0;
    engine::check(experts >= 1 && experts <= 8, "bench", "unknown model '{}': resnet32 or ride-1 to ride-8",
                  options.model);
    recipe.model.experts = experts;
  }
  recipe.loss.base = "ce";
  recipe.loss.drw = false;
  recipe.loss.reweight_epoch = -1;
  return recipe;
}

struct Inputs {
  Tensor images, labels;
};

Inputs random_inputs(int64_t batch) {
  engine::Generator random(1);
  Inputs in{Tensor::empty({batch, 3, 32, 32}, {.format = engine::MemoryFormat::channels_last}),
            Tensor::empty({batch}, {.dtype = engine::DType::i64})};
  for (int64_t i = 0; i < in.images.numel(); ++i) in.images.data<float>()[i] = random.normal();
  for (int64_t i = 0; i < batch; ++i) in.labels.data<int64_t>()[i] = static_cast<int64_t>(random.below(100));
  return in;
}

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

template <class Step>
std::vector<double> time_steps(const Options& options, Step&& step) {
  for (int i = 0; i < options.warmup; ++i) step();
  engine::profile::enable(options.profile);
  std::vector<double> seconds;
  for (int i = 0; i < options.steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    step();
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  engine::profile::enable(false);
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

std::vector<double> run(const Options& options) {
  const ride::Recipe recipe = recipe_of(options);
  const auto model = apps::make_model(recipe, 100);
  const Inputs in = random_inputs(options.batch);
  if (options.mode == "infer") {
    model->eval();
    engine::NoGradGuard no_grad;
    return time_steps(options, [&] { model->forward(in.images); });
  }
  ride::RideLoss criterion = ride::training_loss(recipe.loss, std::vector<int64_t>(100, 100));
  engine::Sgd optimizer(model->named_parameters(), {.momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});
  return time_steps(options, [&] {
    const ride::LossValue loss = criterion(model->forward(in.images).logits, in.labels);
    optimizer.zero_grad();
    loss.total.backward();
    optimizer.step(1e-3);
  });
}

int bench(const Options& options) {
  engine::check(options.precision == "f32", "bench", "precision '{}' is not built: f32", options.precision);
  engine::check(options.device == "cpu", "bench", "device '{}' is not built: cpu", options.device);
  if (options.threads) engine::set_num_threads(options.threads);
  const std::vector<double> seconds = run(options);
  const double median = seconds[seconds.size() / 2], images = static_cast<double>(options.batch);
  auto rounded = [](double value) { return std::round(value * 100) / 100; };
  const nlohmann::ordered_json line = {{"model", options.model},
                                       {"mode", options.mode},
                                       {"precision", options.precision},
                                       {"batch", options.batch},
                                       {"device", options.device},
                                       {"threads", engine::num_threads()},
                                       {"ms", rounded(median * 1e3)},
                                       {"images_per_second", rounded(images / median)},
                                       {"best_images_per_second", rounded(images / seconds[0])},
                                       {"peak_mib", rounded(peak_mib())},
                                       {"system_allocations", engine::cpu_allocator().stats().system_allocations}};
  if (options.json)
    fmt::print("{}\n", line.dump());
  else
    fmt::print("{} {} {} batch {} on {} threads: {:.1f} ms a step, {:.1f} images/s (best {:.1f}), peak {:.0f} MiB\n",
               options.model, options.mode, options.precision, options.batch, engine::num_threads(), median * 1e3,
               images / median, images / seconds[0], peak_mib());
  if (options.profile) fmt::print(stderr, "{}", engine::profile::table());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Measures the speed of one training step or one inference pass."};
  app.add_option("--model", options.model, "resnet32 or ride-N, N experts")->capture_default_str();
  app.add_option("--mode", options.mode, "train or infer")
      ->check(CLI::IsMember({"train", "infer"}))
      ->capture_default_str();
  app.add_option("--precision", options.precision, "f32")->capture_default_str();
  app.add_option("--batch", options.batch, "images per step")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_option("--device", options.device, "cpu")->capture_default_str();
  app.add_option("--steps", options.steps, "timed steps; the median counts")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--warmup", options.warmup, "steps before")->check(CLI::NonNegativeNumber)->capture_default_str();
  app.add_option("--threads", options.threads, "0: as many as cores")->check(CLI::NonNegativeNumber);
  app.add_flag("--json", options.json, "one JSON line");
  app.add_flag("--profile", options.profile, "time, GFLOP/s and GB/s of every op");
  CLI11_PARSE(app, argc, argv);
  return apps::run_program([&] { return bench(options); });
}
