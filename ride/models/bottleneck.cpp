#include "ride/models/bottleneck.h"

#include "engine/nn/conv_bn.h"
#include "engine/nn/init.h"

namespace ride {
namespace {

using engine::BatchNorm2d;
using engine::Conv2d;
using engine::Conv2dLayerOptions;
using engine::Generator;
using engine::Sequential;
using engine::Tensor;

Conv2dLayerOptions conv1x1(int64_t in, int64_t out, int64_t stride = 1) {
  return {.in_channels = in, .out_channels = out, .kernel = 1, .conv = {.stride = stride}, .bias = false};
}

Conv2dLayerOptions conv3x3(int64_t channels, int64_t stride, int64_t groups) {
  return {.in_channels = channels,
          .out_channels = channels,
          .kernel = 3,
          .conv = {.stride = stride, .padding = 1, .groups = groups},
          .bias = false};
}

engine::BatchNorm2dOptions norm(int64_t channels) { return {.channels = channels}; }

const BottleneckOptions& checked(const BottleneckOptions& o) {
  engine::check(o.planes > 0 && o.width.groups > 0 && o.width.channels(o.planes) > 0, "Bottleneck",
                "{} planes in {} groups of width {} make no channels", o.planes, o.width.groups, o.width.group_width);
  return o;
}

}  // namespace

Bottleneck::Bottleneck(const BottleneckOptions& o, Generator& generator)
    : conv1_(add<Conv2d>("conv1", conv1x1(checked(o).in_channels, o.width.channels(o.planes)), generator)),
      bn1_(add<BatchNorm2d>("bn1", norm(o.width.channels(o.planes)))),
      conv2_(add<Conv2d>("conv2", conv3x3(o.width.channels(o.planes), o.stride, o.width.groups), generator)),
      bn2_(add<BatchNorm2d>("bn2", norm(o.width.channels(o.planes)))),
      conv3_(add<Conv2d>("conv3", conv1x1(o.width.channels(o.planes), expansion * o.planes), generator)),
      bn3_(add<BatchNorm2d>("bn3", norm(expansion * o.planes))) {
  for (const Conv2d* conv : {&conv1_, &conv2_, &conv3_})
    engine::init::kaiming_normal_fan_out(conv->weight(), generator);
  if (o.stride == 1 && o.in_channels == expansion * o.planes) return;
  Sequential& downsample = add<Sequential>("downsample");
  downsample_ = &downsample.append<Conv2d>(conv1x1(o.in_channels, expansion * o.planes, o.stride), generator);
  downsample_bn_ = &downsample.append<BatchNorm2d>(norm(expansion * o.planes));
  engine::init::kaiming_normal_fan_out(downsample_->weight(), generator);
}

Tensor Bottleneck::forward(const Tensor& x) {
  const Tensor shortcut = downsample_ ? conv_bn(*downsample_, *downsample_bn_, x) : x;
  const Tensor narrow = conv_bn(conv1_, bn1_, x, {.relu = true});
  const Tensor y = conv_bn(conv2_, bn2_, narrow, {.relu = true});
  return conv_bn(conv3_, bn3_, y, {.residual = shortcut, .relu = true});
}

int64_t append_bottlenecks(Sequential& stage, const BottleneckOptions& first, int64_t blocks, Generator& generator) {
  engine::check(blocks >= 1, "append_bottlenecks", "a stage needs at least one block, got {}", blocks);
  BottleneckOptions options = first;
  for (int64_t i = 0; i < blocks; ++i) {
    stage.append<Bottleneck>(options, generator);
    options.in_channels = Bottleneck::expansion * options.planes;
    options.stride = 1;
  }
  return options.in_channels;
}

}  // namespace ride
