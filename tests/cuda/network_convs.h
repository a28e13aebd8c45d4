// The convolutions of the networks that recipes train, as they run: shapes and options, each once.
#pragma once
#include <string>
#include <vector>

#include "engine/kernels/conv.h"

struct NetworkConv {
  std::string network;
  engine::Shape x, w, y;  // of a batch
  engine::Conv2dOptions options;
};

// RIDE-3 for CIFAR in batches of 128, ResNet-50 and ResNeXt-50 for 224x224 pixels in batches of 64. Run on first call.
const std::vector<NetworkConv>& network_convs();
