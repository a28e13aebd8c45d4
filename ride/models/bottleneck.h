// The residual block of the large ResNets and a stage of them: what a network for large images is put together from.
#pragma once
#include "engine/core/random.h"
#include "engine/nn/batch_norm2d.h"
#include "engine/nn/conv2d.h"
#include "engine/nn/sequential.h"

namespace ride {

// How wide a block's 3x3 convolution is: planes * group_width / 64 * groups channels. The defaults are a plain ResNet;
// groups = 32 with group_width = 4 is ResNeXt 32x4d.
struct BottleneckWidth {
  int64_t groups = 1;
  int64_t group_width = 64;

  int64_t channels(int64_t planes) const { return planes * group_width / 64 * groups; }
};

struct BottleneckOptions {
  int64_t in_channels = 0;
  int64_t planes = 0;
  int64_t stride = 1;
  BottleneckWidth width = {};
};

// relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut(x)): 1x1, 3x3 with the stride and the groups, 1x1
// to 4 * planes channels. The shortcut is x, or a 1x1 convolution and batch norm ("downsample") where the shape
// changes. x (N, in_channels, H, W) -> (N, 4 planes, H / stride, W / stride)
class Bottleneck : public engine::Layer {
 public:
  static constexpr int64_t expansion = 4;  // output channels per plane

  // Weights start normal with standard deviation sqrt(2 / fan_out), as the authors' and torchvision's.
  Bottleneck(const BottleneckOptions& options, engine::Generator& generator);
  engine::Tensor forward(const engine::Tensor& x) override;

 private:
  engine::Conv2d& conv1_;
  engine::BatchNorm2d& bn1_;
  engine::Conv2d& conv2_;
  engine::BatchNorm2d& bn2_;
  engine::Conv2d& conv3_;
  engine::BatchNorm2d& bn3_;
  engine::Conv2d* downsample_ = nullptr;
  engine::BatchNorm2d* downsample_bn_ = nullptr;
};

// Appends `blocks` blocks: `first`, which may change the shape, then others that keep it.
// Returns the channels of the stage's output.
int64_t append_bottlenecks(engine::Sequential& stage, const BottleneckOptions& first, int64_t blocks,
                           engine::Generator& generator);

}  // namespace ride
