#include "ride/models/describe.h"

#include <algorithm>
#include <unordered_map>

#include "engine/autograd/grad_mode.h"
#include "engine/nn/forward_observer.h"
#include "engine/nn/linear.h"

namespace ride {
namespace {

using engine::Module;
using engine::Tensor;

int64_t parameter_count(const Module& module) {
  int64_t count = 0;
  for (const Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

// y: the layer's output for one image.
LayerCost cost_of(const std::string& name, const Module& layer, const Tensor& y) {
  LayerCost cost{.name = name, .output = y.shape(), .parameters = parameter_count(layer)};
  if (const auto* conv = dynamic_cast<const engine::Conv2d*>(&layer)) {
    cost.kind = "Conv2d";
    cost.macs = y.numel() * conv->weight().numel() / conv->weight().size(0);
  } else if (dynamic_cast<const engine::BatchNorm2d*>(&layer)) {
    cost.kind = "BatchNorm2d";
    cost.batch_norm_operations = 2 * y.numel();
  } else if (const auto* linear = dynamic_cast<const engine::Linear*>(&layer)) {
    cost.kind = "Linear";
    cost.macs = linear->weight().numel();
  } else if (const auto* cosine = dynamic_cast<const engine::NormedLinear*>(&layer)) {
    cost.kind = "NormedLinear";
    cost.macs = cosine->weight().numel();
  } else {
    engine::fail("describe", "layer \"{}\" is of a kind whose cost is not known here", name);
  }
  return cost;
}

Cost sum_of(const std::vector<LayerCost>& layers) {
  Cost cost;
  for (const LayerCost& layer : layers) {
    cost.macs += layer.macs;
    cost.macs_with_bn += layer.macs + layer.batch_norm_operations;
  }
  return cost;
}

// Eval mode while it lives, then the mode that the module had, for all below it too.
class ModeKeeper {
 public:
  explicit ModeKeeper(Module& module) : module_(module), training_(module.is_training()) { module.eval(); }
  ~ModeKeeper() { module_.train(training_); }
  ModeKeeper(const ModeKeeper&) = delete;
  ModeKeeper& operator=(const ModeKeeper&) = delete;

 private:
  Module& module_;
  bool training_;
};

// Calls run(image, out), which runs the model, while out.layers collects what its layers cost.
template <class Model, class Run>
Description observe(Model& model, const DescribeOptions& options, Run&& run) {
  std::unordered_map<const Module*, std::string> names;
  for (const auto& [name, module] : model.named_modules()) names.emplace(module, name);

  Description out;
  const ModeKeeper eval_mode(model);
  const engine::NoGradGuard no_grad;
  const engine::ForwardObserver observer(
      [&](const Module& layer, const Tensor& y) { out.layers.push_back(cost_of(names.at(&layer), layer, y)); });
  run(Tensor::zeros({1, model.options().in_channels, options.height, options.width}, {.device = model.device()}), out);
  out.total = sum_of(out.layers);
  out.parameters = parameter_count(model) + options.assignment.parameters;
  return out;
}

}  // namespace

Description describe(ResNetCifar& model, const DescribeOptions& options) {
  return observe(model, options, [&](const Tensor& image, Description& out) {
    const int64_t n = model.experts();
    const Tensor h = model.shared(image);
    for (int64_t k = 1; k <= n; ++k) {
      model.classify(k - 1, model.features(k - 1, h));
      Cost cost = sum_of(out.layers);
      const int64_t heads = std::min(k, n - 1) * options.assignment.macs_per_head;
      out.by_experts.push_back({.macs = cost.macs + heads, .macs_with_bn = cost.macs_with_bn + heads});
    }
  });
}

Description describe(ResNet& model, const DescribeOptions& options) {
  return observe(model, options, [&](const Tensor& image, Description& out) {
    model(image);
    out.by_experts.push_back(sum_of(out.layers));
  });
}

std::string Description::table() const {
  std::string text = fmt::format("{:<28}{:<14}{:<20}{:>12}{:>14}\n", "layer", "kind", "output", "parameters", "MACs");
  for (const LayerCost& layer : layers)
    text += fmt::format("{:<28}{:<14}{:<20}{:>12}{:>14}\n", layer.name, layer.kind, layer.output, layer.parameters,
                        layer.macs);
  text += fmt::format("parameters {}\nMACs {} (convolutions and linear layers), {} with batch norm\n", parameters,
                      total.macs, total.macs_with_bn);
  if (by_experts.size() < 2) return text;
  for (std::size_t k = 0; k < by_experts.size(); ++k)
    text += fmt::format("using {} of {} experts: MACs {}, {} with batch norm\n", k + 1, by_experts.size(),
                        by_experts[k].macs, by_experts[k].macs_with_bn);
  return text;
}

}  // namespace ride
