#include "ride/models/resnet.h"

#include "engine/autograd/autocast.h"
#include "engine/nn/conv_bn.h"
#include "engine/nn/init.h"
#include "engine/ops/pool.h"
#include "engine/ops/precision.h"

namespace ride {
namespace {

using engine::BatchNorm2d;
using engine::Conv2d;
using engine::Conv2dLayerOptions;
using engine::Generator;
using engine::Sequential;
using engine::Tensor;

constexpr int64_t stem_channels = 64;
constexpr int64_t first_planes = 64;  // doubled from stage to stage

Conv2dLayerOptions stem(int64_t in_channels) {
  return {.in_channels = in_channels,
          .out_channels = stem_channels,
          .kernel = 7,
          .conv = {.stride = 2, .padding = 3},
          .bias = false};
}

}  // namespace

ResNetOptions resnet_named(const std::string& name) {
  if (name == "resnet50") return {};
  if (name == "resnet101") return {.blocks = {3, 4, 23, 3}};
  if (name == "resnet152") return {.blocks = {3, 8, 36, 3}};
  if (name == "resnext50") return {.width = {.groups = 32, .group_width = 4}};
  engine::fail("resnet_named", "unknown network '{}': resnet50, resnet101, resnet152 or resnext50", name);
}

ResNet::ResNet(const ResNetOptions& options, Generator& generator)
    : options_(options),
      conv1_(add<Conv2d>("conv1", stem(options.in_channels), generator)),
      bn1_(add<BatchNorm2d>("bn1", engine::BatchNorm2dOptions{.channels = stem_channels})) {
  engine::init::kaiming_normal_fan_out(conv1_.weight(), generator);
  int64_t channels = stem_channels, planes = first_planes;
  for (std::size_t i = 0; i < stages_.size(); ++i, planes *= 2) {
    stages_[i] = &add<Sequential>(fmt::format("layer{}", i + 1));
    const BottleneckOptions first{
        .in_channels = channels, .planes = planes, .stride = i == 0 ? 1 : 2, .width = options.width};
    channels = append_bottlenecks(*stages_[i], first, options.blocks[i], generator);
  }
  fc_ = &add<engine::Linear>("fc", engine::LinearOptions{.in_features = channels, .out_features = options.classes},
                             generator);
}

Tensor ResNet::features(const Tensor& x) {
  Tensor h = conv_bn(conv1_, bn1_, x, {.relu = true});
  h = engine::max_pool2d(h, {.kernel = 3, .stride = 2, .padding = 1});
  for (Sequential* stage : stages_) h = (*stage)(h);
  return engine::full_precision(engine::global_avg_pool2d(h));
}

// In f32 whatever the precision: it costs next to nothing, and logits in bf16 have few digits left.
Tensor ResNet::forward(const Tensor& x) {
  const Tensor feature = features(x);
  const engine::Autocast full(engine::DType::f32);
  return (*fc_)(feature);
}

}  // namespace ride
