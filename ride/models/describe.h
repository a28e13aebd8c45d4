// What a network consists of and what one image costs it.
#pragma once
#include <string>
#include <vector>

#include "ride/models/resnet.h"
#include "ride/models/resnet_cifar.h"

namespace ride {

// One layer as it ran on one image.
struct LayerCost {
  std::string name = {};      // layer2s.0.0.conv1
  std::string kind = {};      // Conv2d, BatchNorm2d, Linear, NormedLinear
  engine::Shape output = {};  // (1, C, H, W) or (1, C)
  int64_t parameters = 0;
  int64_t macs = 0;                   // multiply-accumulates of convolutions and linear layers
  int64_t batch_norm_operations = 0;  // 2 per output element: the rule behind the published figures
};

struct Cost {
  int64_t macs = 0;          // convolutions and linear layers
  int64_t macs_with_bn = 0;  // the same + 2 per batch-norm output: the paper's "MFlops" (69.5 M for ResNet-32)
};

// The expert assignment module's share (paper section 3.3): one head behind every expert but the last.
struct AssignmentCost {
  int64_t parameters = 0;
  int64_t macs_per_head = 0;
};

struct DescribeOptions {
  int64_t height = 32, width = 32;  // pixels of the image
  AssignmentCost assignment = {};   // zeros: no routing
};

struct Description {
  std::vector<LayerCost> layers;  // in the order they run
  int64_t parameters = 0;         // of the whole model, assignment included
  Cost total;                     // every expert runs, no assignment head does
  // by_experts[k - 1]: cost of a sample that uses k experts, the heads that decided it included: it passed head 1 to
  // head k, or to head n - 1 when k = n. (The authors' code charges k - 1 heads for every k.)
  std::vector<Cost> by_experts;

  std::string table() const;  // the layers as text, with the totals below
};

// Runs the model once on an image of zeros, in eval mode and without gradients; the model is left as it was.
Description describe(ResNetCifar& model, const DescribeOptions& options = {});
// Likewise, as one expert.
Description describe(ResNet& model, const DescribeOptions& options = {.height = 224, .width = 224});

}  // namespace ride
