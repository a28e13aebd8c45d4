#include "apps/bench/workload.h"

#include <memory>
#include <optional>

#include "engine/autograd/autocast.h"
#include "engine/kernels/select.h"
#include "engine/kernels/step_graph.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/shape_ops.h"
#include "engine/optim/sgd.h"
#include "ride/losses/from_recipe.h"
#include "ride/models/resnet.h"
#include "ride/models/resnet_cifar.h"

namespace apps::bench {
namespace {

using engine::MemoryFormat;
using engine::Tensor;

// What the two families of models have in common here.
struct Network {
  std::shared_ptr<engine::Module> module;
  std::function<std::vector<Tensor>(const Tensor& images)> logits;  // per expert
  int64_t classes = 0, image_size = 0;
};

// None for auto.
std::optional<MemoryFormat> format_named(const std::string& name) {
  const std::optional<MemoryFormat> format = engine::memory_format_named(name);
  engine::check(format || name == "auto", "bench",
                "unknown memory format '{}': auto, contiguous, channels_last or batch_lanes", name);
  return format;
}

Network cifar_network(const ride::ResNetCifarOptions& options) {
  const auto model = std::make_shared<ride::ResNetCifar>(options);
  return {model, [model](const Tensor& images) { return model->forward(images).logits; }, options.classes, 32};
}

Network large_network(const std::string& name) {
  const auto model = std::make_shared<ride::ResNet>(ride::resnet_named(name));
  return {model, [model](const Tensor& images) { return std::vector{model->forward(images)}; },
          model->options().classes, 224};
}

// resnet32 is one expert of full width; ride-N has N reduced experts.
Network network_named(const std::string& name, std::optional<MemoryFormat> format) {
  if (name == "resnet32") return cifar_network({.format = format});
  for (const char* large : {"resnet50", "resnet101", "resnet152", "resnext50"})
    if (name == large) {
      engine::check(format != MemoryFormat::batch_lanes, "bench", "{} does not run in batch_lanes: use channels_last",
                    name);
      return large_network(name);
    }
  const int experts = name.starts_with("ride-") ? std::atoi(name.c_str() + 5) : 0;
  engine::check(experts >= 1 && experts <= 8, "bench",
                "unknown model '{}': resnet32, ride-1 to ride-8, resnet50, resnet101, resnet152 or resnext50", name);
  return cifar_network({.experts = experts, .reduce_dimension = true, .format = format});
}

struct Inputs {
  Tensor images, labels;
};

// Images are contiguous where the network is to be, else channels_last, from which the other formats are converted.
Inputs random_inputs(const Options& options, const Network& network, std::optional<MemoryFormat> format) {
  const int64_t size = options.image_size ? options.image_size : network.image_size;
  const MemoryFormat image_format =
      format == MemoryFormat::contiguous ? MemoryFormat::contiguous : MemoryFormat::channels_last;
  engine::Generator random(1);
  Inputs in{Tensor::empty({options.batch, 3, size, size}, {.format = image_format}),
            Tensor::empty({options.batch}, {.dtype = engine::DType::i64})};
  for (int64_t i = 0; i < in.images.numel(); ++i) in.images.data<float>()[i] = random.normal();
  for (int64_t i = 0; i < options.batch; ++i)
    in.labels.data<int64_t>()[i] = static_cast<int64_t>(random.below(static_cast<uint64_t>(network.classes)));
  return in;
}

ride::RideLoss cross_entropy(int64_t classes) {
  ride::Recipe recipe;
  recipe.loss.base = "ce";
  recipe.loss.drw = false;
  recipe.loss.reweight_epoch = -1;
  return ride::training_loss(recipe.loss, std::vector<int64_t>(static_cast<std::size_t>(classes), 100));
}

std::function<void()> recorded(engine::Device device, std::function<void()> step) {
  return [step = std::move(step), graph = std::make_shared<engine::StepGraph>(device)] { graph->run(step); };
}

}  // namespace

std::function<void()> make_step(const Options& options) {
  const engine::DType precision = options.precision == "bf16" ? engine::DType::bf16 : engine::DType::f32;
  const std::optional<MemoryFormat> format = format_named(options.format);
  const engine::Device device = options.device.open();
  engine::check(device == engine::Device{} || format != MemoryFormat::batch_lanes, "bench",
                "batch_lanes is a format of the CPU: use channels_last on {}", name(device));
  const Network network = network_named(options.model, format);
  network.module->to(device);
  Inputs in = random_inputs(options, network, format);
  in.images = in.images.to(device);
  in.labels = in.labels.to(device);
  if (options.mode == "infer") {
    network.module->eval();
    const auto pass = [=,
                       inference = std::make_shared<engine::InferenceMode>()] {  // in force as long as the step lives
      const engine::Autocast autocast(precision);
      network.logits(in.images);
    };
    return options.graph ? recorded(device, pass) : pass;
  }
  const auto criterion = std::make_shared<ride::RideLoss>(cross_entropy(network.classes));
  const auto optimizer = std::make_shared<engine::Sgd>(
      network.module->named_parameters(), engine::SgdOptions{.momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});
  const auto step = [=] {
    const ride::LossValue loss = [&] {
      const engine::Autocast autocast(precision);
      return (*criterion)(network.logits(in.images), in.labels);
    }();
    optimizer->zero_grad();
    loss.total.backward();
    optimizer->step(1e-3);
  };
  return options.graph ? recorded(device, step) : step;
}

}  // namespace apps::bench
