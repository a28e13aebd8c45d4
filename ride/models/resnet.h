// The ResNet of large images (He et al. 2016, Table 1) with bottleneck blocks, for 224x224 pixels and more.
//
//   x (N, 3, H, W) -> conv1 7x7 stride 2, bn1, relu, max pool 3x3 stride 2   (N, 64, H/4, W/4)
//                  -> layer1 to layer4, the last three with stride 2         (N, 2048, H/32, W/32)
//                  -> mean over the map, fc                                  (N, classes)
//
// The stride of a block is in its 3x3 convolution. Names of parameters are torchvision's: layer1.0.conv1.weight,
// layer1.0.downsample.0.weight, fc.weight. An image batch in channels_last keeps that format throughout.
#pragma once
#include <array>
#include <string>

#include "engine/nn/linear.h"
#include "ride/models/bottleneck.h"

namespace ride {

struct ResNetOptions {
  std::array<int64_t, 4> blocks = {3, 4, 6, 3};  // of layer1 to layer4; {3, 4, 23, 3} is ResNet-101
  int64_t classes = 1000;
  BottleneckWidth width = {};
  int64_t in_channels = 3;
};

// By name: resnet50, resnet101, resnet152, resnext50 (32x4d). Throws for another.
ResNetOptions resnet_named(const std::string& name);

class ResNet : public engine::Layer {
 public:
  explicit ResNet(const ResNetOptions& options = {}, engine::Generator& generator = engine::default_generator());

  // x (N, in_channels, H, W), H and W at least 32 -> the pooled feature (N, 2048), f32 under Autocast too.
  engine::Tensor features(const engine::Tensor& x);
  // x -> logits (N, classes).
  engine::Tensor forward(const engine::Tensor& x) override;

  const ResNetOptions& options() const { return options_; }

 private:
  ResNetOptions options_;
  engine::Conv2d& conv1_;
  engine::BatchNorm2d& bn1_;
  std::array<engine::Sequential*, 4> stages_ = {};
  engine::Linear* fc_ = nullptr;
};

}  // namespace ride
