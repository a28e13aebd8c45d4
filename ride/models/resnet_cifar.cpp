#include "ride/models/resnet_cifar.h"

#include <array>

#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/nn/by_groups.h"
#include "engine/nn/conv_bn.h"
#include "engine/nn/forward_observer.h"
#include "engine/nn/inference_mode.h"
#include "engine/nn/init.h"
#include "engine/nn/linear.h"
#include "engine/ops/pool.h"
#include "engine/ops/precision.h"
#include "engine/ops/shape_ops.h"
#include "ride/models/shortcut.h"

namespace ride {
namespace {

using engine::BatchNorm2d;
using engine::Conv2d;
using engine::Generator;
using engine::Layer;
using engine::Tensor;

constexpr int64_t stem_planes = 16;
constexpr int64_t blocks_per_stage = 5;  // (32 - 2) / 6
constexpr int64_t max_experts = 8;

engine::Conv2dLayerOptions conv3x3(const BasicBlockOptions& o) {
  return {.in_channels = o.in_planes,
          .out_channels = o.planes,
          .kernel = 3,
          .conv = {.stride = o.stride, .padding = 1},
          .bias = false};
}

const ResNetCifarOptions& checked(const ResNetCifarOptions& options) {
  engine::check(options.experts >= 1 && options.experts <= max_experts, "ResNetCifar", "1 to {} experts, got {}",
                max_experts, options.experts);
  engine::check(options.classes > 0 && options.in_channels > 0, "ResNetCifar",
                "classes and input channels must be positive, got {} and {}", options.classes, options.in_channels);
  return options;
}

// batch_lanes pays where enough lanes are filled and a group of sixteen images is not much larger than a core's cache.
// At inference it competes with convolutions that have channels in the vectors: those are slower, but any number of
// images occupies all threads.
bool fills_lanes(int64_t images) {
  if (!engine::InferenceMode::current()) return images >= engine::images_per_group / 2;
  return images * 10 >= engine::num_threads() * engine::images_per_group * 9;
}

engine::MemoryFormat best_format(const Tensor& x) {
  constexpr int64_t most_pixels = 64 * 64;
  const bool known = x.dtype() == engine::DType::f32 || x.dtype() == engine::DType::bf16;
  if (x.device().type != engine::DeviceType::cpu || !known || x.rank() != 4) return x.format();
  if (fills_lanes(x.size(0)) && x.size(2) * x.size(3) <= most_pixels) return engine::MemoryFormat::batch_lanes;
  return engine::InferenceMode::current() ? engine::MemoryFormat::channels_last : x.format();
}

}  // namespace

BasicBlock::BasicBlock(const BasicBlockOptions& options, Generator& generator)
    : options_(options),
      conv1_(add<Conv2d>("conv1", conv3x3(options), generator)),
      bn1_(add<BatchNorm2d>("bn1", engine::BatchNorm2dOptions{.channels = options.planes})),
      conv2_(add<Conv2d>("conv2", conv3x3({.in_planes = options.planes, .planes = options.planes}), generator)),
      bn2_(add<BatchNorm2d>("bn2", engine::BatchNorm2dOptions{.channels = options.planes})) {
  engine::init::kaiming_normal(conv1_.weight(), generator);
  engine::init::kaiming_normal(conv2_.weight(), generator);
}

Tensor BasicBlock::shortcut(const Tensor& x) const {
  const bool same = options_.stride == 1 && options_.in_planes == options_.planes;
  return same ? x : shortcut_a(x, {.planes = options_.planes, .stride = options_.stride});
}

engine::BasicBlockLayers BasicBlock::layers() const {
  return {engine::conv_norm_of(conv1_, bn1_), engine::conv_norm_of(conv2_, bn2_)};
}

bool BasicBlock::is_plain_training() const {
  return bn1_.is_training() && bn2_.is_training() && !engine::ForwardObserver::active();
}

Tensor BasicBlock::forward(const Tensor& x) {
  if (is_plain_training()) return engine::basic_blocks(x, shortcut(x), std::array{layers()});
  const Tensor inner = conv_bn(conv1_, bn1_, x, {.relu = true});
  return conv_bn(conv2_, bn2_, inner, {.residual = shortcut(x), .relu = true});
}

void Stage::append_blocks(const BasicBlockOptions& first, int64_t count, Generator& generator) {
  blocks_.push_back(&append<BasicBlock>(first, generator));
  const BasicBlockOptions same{.in_planes = first.planes, .planes = first.planes};
  for (int64_t i = 1; i < count; ++i) blocks_.push_back(&append<BasicBlock>(same, generator));
}

Tensor Stage::forward(const Tensor& x) {
  std::vector<engine::BasicBlockLayers> layers;
  for (const BasicBlock* block : blocks_) {
    if (!block->is_plain_training()) return Sequential::forward(x);
    layers.push_back(block->layers());
  }
  return engine::basic_blocks(x, blocks_.front()->shortcut(x), layers);
}

ResNetCifar::ResNetCifar(const ResNetCifarOptions& options, Generator& generator)
    : options_(checked(options)),
      conv1_(add<Conv2d>("conv1", conv3x3({.in_planes = options.in_channels, .planes = stem_planes}), generator)),
      bn1_(add<BatchNorm2d>("bn1", engine::BatchNorm2dOptions{.channels = stem_planes})),
      layer1_(add<Stage>("layer1")) {
  engine::init::kaiming_normal(conv1_.weight(), generator);
  layer1_.append_blocks({.in_planes = stem_planes, .planes = stem_planes}, blocks_per_stage, generator);

  const int64_t planes3 = feature_dimension(), planes2 = planes3 / 2;
  const auto named = [&](const char* name, int64_t expert) {
    return experts() == 1 ? std::string(name) : fmt::format("{}s.{}", name, expert);
  };
  const auto add_stages = [&](std::vector<Stage*>& stages, const char* name, const BasicBlockOptions& first) {
    for (int64_t e = 0; e < experts(); ++e) {
      stages.push_back(&add<Stage>(named(name, e)));
      stages.back()->append_blocks(first, blocks_per_stage, generator);
    }
  };
  add_stages(layer2_, "layer2", {.in_planes = stem_planes, .planes = planes2, .stride = 2});
  add_stages(layer3_, "layer3", {.in_planes = planes2, .planes = planes3, .stride = 2});
  for (int64_t e = 0; e < experts(); ++e) {
    if (options.classifier == Classifier::cosine) {
      const engine::NormedLinearOptions head{
          .in_features = planes3, .out_features = options.classes, .scale = options.scale};
      classifier_.push_back(&add<engine::NormedLinear>(named("linear", e), head, generator));
    } else {
      const engine::LinearOptions head{.in_features = planes3, .out_features = options.classes};
      engine::Linear& linear = add<engine::Linear>(named("linear", e), head, generator);
      engine::init::kaiming_normal(linear.weight(), generator);
      classifier_.push_back(&linear);
    }
  }
}

void ResNetCifar::check_expert(int64_t expert) const {
  engine::check(expert >= 0 && expert < experts(), "ResNetCifar", "expert {} of {} does not exist", expert, experts());
}

Tensor ResNetCifar::in_format(const Tensor& x) const {
  return engine::contiguous(x, options_.format.value_or(best_format(x)));
}

Tensor ResNetCifar::shared(const Tensor& x) {
  return engine::by_groups(
      in_format(x), [&](const Tensor& images) { return layer1_(conv_bn(conv1_, bn1_, images, {.relu = true})); });
}

Tensor ResNetCifar::features(int64_t expert, const Tensor& h, const Tensor& rows) {
  check_expert(expert);
  const auto own_stages = [&](const Tensor& images) {
    return engine::global_avg_pool2d((*layer3_[expert])((*layer2_[expert])(images)));
  };
  return engine::full_precision(engine::by_groups(in_format(h), own_stages, rows));
}

// In f32 whatever the precision: it costs a thousandth of the rest, and 30 times a cosine has few digits left in bf16.
Tensor ResNetCifar::classify(int64_t expert, const Tensor& feature) {
  check_expert(expert);
  const engine::Autocast full(engine::DType::f32);
  return (*classifier_[expert])(feature);
}

ExpertOutput ResNetCifar::forward(const Tensor& x) {
  const Tensor h = shared(x);
  const std::size_t n = static_cast<std::size_t>(experts());
  ExpertOutput out{.logits = std::vector<Tensor>(n), .features = std::vector<Tensor>(n)};
  engine::for_branches(experts(), h, [&](int64_t e) {
    out.features[e] = features(e, h);
    out.logits[e] = classify(e, out.features[e]);
  });
  return out;
}

}  // namespace ride
