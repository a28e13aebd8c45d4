// ResNet-32 for CIFAR with one or several experts: the network of RIDE (section 3.1, Fig. 3 of the paper).
//
//   x (N, 3, 32, 32) -> conv1, bn1, layer1 (16 channels)                          shared by all experts
//                    -> layer2 (24 or 32), layer3 (48 or 64), pooling, classifier  one of each per expert
//
// Names of parameters are those of the authors' checkpoints: layer2s.0.0.conv1.weight, linears.0.weight, and for one
// expert layer2.0.conv1.weight, linear.weight.
#pragma once
#include <optional>
#include <vector>

#include "engine/core/random.h"
#include "engine/nn/batch_norm2d.h"
#include "engine/nn/conv2d.h"
#include "engine/nn/sequential.h"
#include "engine/ops/basic_blocks.h"

namespace ride {

enum class Classifier { linear, cosine };

struct ResNetCifarOptions {
  int64_t classes = 100;
  int64_t experts = 1;            // 1 to 8
  bool reduce_dimension = false;  // 24 and 48 channels in the experts' stages instead of 32 and 64
  Classifier classifier = Classifier::cosine;
  double scale = 30;  // s of the cosine classifier; the linear one has none
  int64_t in_channels = 3;
  // Memory format the network runs in; images are converted once, at the input. None: batch_lanes for batches of small
  // f32 or bf16 images on the CPU; channels_last under InferenceMode where they don't give every thread a group;
  // otherwise the images' own.
  std::optional<engine::MemoryFormat> format = {};
};

// What every expert makes of a batch. The model's prediction is the mean of the logits.
struct ExpertOutput {
  std::vector<engine::Tensor> logits;    // per expert (N, classes)
  std::vector<engine::Tensor> features;  // per expert (N, feature_dimension): what the classifier sees
};

struct BasicBlockOptions {
  int64_t in_planes = 0;
  int64_t planes = 0;
  int64_t stride = 1;
};

// relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), both convolutions 3x3 without bias; the first has the stride.
class BasicBlock : public engine::Layer {
 public:
  BasicBlock(const BasicBlockOptions& options, engine::Generator& generator);
  engine::Tensor forward(const engine::Tensor& x) override;

  engine::Tensor shortcut(const engine::Tensor& x) const;
  // For basic_blocks, which is for training without observers.
  engine::BasicBlockLayers layers() const;
  bool is_plain_training() const;

 private:
  BasicBlockOptions options_;
  engine::Conv2d& conv1_;
  engine::BatchNorm2d& bn1_;
  engine::Conv2d& conv2_;
  engine::BatchNorm2d& bn2_;
};

// Blocks of which the first may change the shape. In training they are one op (basic_blocks).
class Stage : public engine::Sequential {
 public:
  void append_blocks(const BasicBlockOptions& first, int64_t count, engine::Generator& generator);
  engine::Tensor forward(const engine::Tensor& x) override;

 private:
  std::vector<BasicBlock*> blocks_;
};

class ResNetCifar : public engine::Module {
 public:
  // Convolution and Linear weights start Kaiming-normal, the cosine classifier as uniform directions.
  explicit ResNetCifar(const ResNetCifarOptions& options, engine::Generator& generator = engine::default_generator());

  // The shared trunk: x (N, in_channels, H, W) -> (N, 16, H, W).
  engine::Tensor shared(const engine::Tensor& x);
  // Expert e's pooled feature of a trunk output h: (N, feature_dimension). f32 under Autocast too, as the logits are.
  // Where `rows` (M) i64 are given, of these samples alone: (M, feature_dimension).
  engine::Tensor features(int64_t expert, const engine::Tensor& h, const engine::Tensor& rows = {});
  // Expert e's logits (N, classes) from its feature.
  engine::Tensor classify(int64_t expert, const engine::Tensor& feature);
  // All of it, every expert on every sample.
  ExpertOutput forward(const engine::Tensor& x);

  const ResNetCifarOptions& options() const { return options_; }
  int64_t experts() const { return options_.experts; }
  int64_t feature_dimension() const { return options_.reduce_dimension ? 48 : 64; }

 private:
  void check_expert(int64_t expert) const;
  engine::Tensor in_format(const engine::Tensor& x) const;

  ResNetCifarOptions options_;
  engine::Conv2d& conv1_;
  engine::BatchNorm2d& bn1_;
  Stage& layer1_;
  std::vector<Stage*> layer2_, layer3_;     // per expert
  std::vector<engine::Layer*> classifier_;  // per expert
};

}  // namespace ride
