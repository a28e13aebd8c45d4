#include "tests/cuda/network_convs.h"

#include <algorithm>

#include "engine/autograd/grad_mode.h"
#include "engine/nn/conv2d.h"
#include "engine/nn/forward_observer.h"
#include "ride/models/resnet.h"
#include "ride/models/resnet_cifar.h"

namespace {

using namespace engine;

template <class Run>
void collect(const std::string& network, int64_t batch, std::vector<NetworkConv>& convs, Run&& run) {
  const ForwardObserver observer([&](const Module& layer, const Tensor& y) {
    const auto* conv = dynamic_cast<const Conv2d*>(&layer);
    if (!conv) return;
    const Conv2dOptions& o = conv->options().conv;  // all of these keep the size but for the stride
    NetworkConv found{network,
                      {batch, conv->options().in_channels, y.size(2) * o.stride.h, y.size(3) * o.stride.w},
                      conv->weight().shape(),
                      {batch, y.size(1), y.size(2), y.size(3)},
                      o};
    const bool known = std::ranges::any_of(
        convs, [&](const NetworkConv& c) { return c.x == found.x && c.w == found.w && c.options == found.options; });
    if (!known) convs.push_back(found);
  });
  const NoGradGuard no_grad;
  run();
}

std::vector<NetworkConv> collect_all() {
  std::vector<NetworkConv> convs;
  collect("RIDE-3", 128, convs, [] {
    ride::ResNetCifar model({.experts = 3, .reduce_dimension = true, .format = MemoryFormat::channels_last});
    model.eval();
    model.forward(Tensor::zeros({1, 3, 32, 32}));
  });
  for (const char* name : {"resnet50", "resnext50"})
    collect(name, 64, convs, [&] {
      ride::ResNet model(ride::resnet_named(name));
      model.eval();
      model.forward(Tensor::zeros({1, 3, 224, 224}, {.format = MemoryFormat::channels_last}));
    });
  return convs;
}

}  // namespace

const std::vector<NetworkConv>& network_convs() {
  static const std::vector<NetworkConv> convs = collect_all();
  return convs;
}
