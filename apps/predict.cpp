// ride-predict: images in, the five likeliest classes of each out, and how many experts it took.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <filesystem>

#include "apps/common/device_options.h"
#include "apps/common/experiment.h"
#include "apps/common/program.h"
#include "apps/common/table.h"
#include "apps/common/trained_model.h"
#include "data/open.h"
#include "engine/autograd/autocast.h"
#include "engine/kernels/select.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/reduce.h"
#include "engine/ops/softmax.h"
#include "ride/losses/from_recipe.h"
#include "ride/routing/cascade.h"

namespace {

using engine::Tensor;

struct Options {
  std::string checkpoint, recipe, data, precision;
  apps::DeviceOptions device;
  std::vector<std::string> images, set;
  std::optional<double> threshold;
};

// The class names: the data set's where its folder is given or it has one by default, numbers otherwise.
std::vector<std::string> names_of_classes(const Options& options, const ride::Recipe& recipe) {
  const std::string& dataset = recipe.data.dataset;
  if (!options.data.empty() || std::filesystem::is_directory(data::default_folder(dataset)))
    return data::open(dataset, options.data).test->class_names();
  const int64_t classes = ride::classes_of(recipe);
  engine::check(classes > 0, "ride-predict",
                "the recipe does not say how many classes there are: --data DIR or --set model.classes=N");
  return data::numbered_names(classes);
}

// One image (1, 3, H, W), prepared as the test images of the recipe's data set are.
Tensor read_image(const std::string& path, const ride::Recipe& recipe) {
  const int size = recipe.data.image_size;
  const data::Image image = data::load_as_test_image(recipe.data.dataset, path, size);
  const Tensor x = Tensor::empty({1, image.channels, size, size});
  engine::Generator unused;
  apps::test_transform(recipe)(
      image, unused,
      {.values = x.data<float>(), .channel_stride = int64_t{size} * size, .row_stride = size, .column_stride = 1});
  return x;
}

struct Prediction {
  Tensor logits;  // (1, C)
  int64_t experts_used;
};

Prediction predict_one(const apps::TrainedModel& trained, const Tensor& x, const Options& options,
                       const ride::Recipe& recipe) {
  if (!trained.assignment) return {ride::mean_logits(trained.model->forward(x).logits), trained.model->experts()};
  const ride::CascadeResult result =
      ride::cascade(ride::cascade_network(*trained.model), *trained.assignment, x,
                    {.variant = ride::variant_named(recipe.route.variant, "route.variant"),
                     .threshold = options.threshold.value_or(recipe.route.threshold)});
  return {result.logits, result.experts_used.to<int64_t>()[0]};
}

int predict(const Options& options) {
  ride::Recipe recipe = ride::load_recipe(options.recipe, options.set);
  if (!options.precision.empty()) recipe.precision = options.precision;
  const engine::Autocast autocast(apps::precision_of(recipe));
  const std::vector<std::string> names = names_of_classes(options, recipe);
  const int64_t classes = static_cast<int64_t>(names.size());
  const engine::Device device = options.device.open();
  const apps::TrainedModel trained = apps::load_trained(options.checkpoint, recipe, classes, device);
  const engine::InferenceMode inference;
  for (const std::string& path : options.images) {
    const Prediction prediction = predict_one(trained, read_image(path, recipe).to(device), options, recipe);
    const engine::Ordered top = topk(softmax(prediction.logits, 1), {.k = std::min<int64_t>(5, classes)});
    const std::vector<int64_t> labels = top.indices.to<int64_t>();
    const std::vector<double> shares = top.values.to<double>();
    fmt::print("{}  ({} of {} experts)\n", path, prediction.experts_used, trained.model->experts());
    for (std::size_t i = 0; i < labels.size(); ++i)
      fmt::print("  {:>5} %  {}\n", apps::percent(shares[i]), names[static_cast<std::size_t>(labels[i])]);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Classifies images: the five likeliest classes and the number of experts used."};
  app.add_option("--checkpoint", options.checkpoint, "checkpoint, or a bare safetensors file of weights")->required();
  app.add_option("-r,--recipe", options.recipe, "TOML recipe it was trained by")->required()->check(CLI::ExistingFile);
  app.add_option("--data", options.data,
                 "folder of the data set, for the names of its classes; not needed where it has a default one "
                 "(fashion-mnist)");
  app.add_option("--set", options.set, "override a key of the recipe (repeatable)")->allow_extra_args(false);
  app.add_option("--precision", options.precision, "of activations, instead of the recipe's: f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--threshold", options.threshold, "of the cascade; default: the recipe's")
      ->check(CLI::Range(0.0, 1.0));
  apps::add_device_options(app, options.device);
  app.add_option("images", options.images, "PNG, JPEG or BMP files")->required();
  CLI11_PARSE(app, argc, argv);
  return apps::run_program([&] { return predict(options); });
}
