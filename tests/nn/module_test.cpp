#include "engine/nn/module.h"

#include <doctest/doctest.h>

#include "engine/core/random.h"
#include "engine/nn/batch_norm2d.h"
#include "engine/nn/conv2d.h"
#include "engine/nn/forward_observer.h"
#include "engine/nn/linear.h"
#include "engine/nn/pool.h"
#include "engine/nn/sequential.h"

using namespace engine;

namespace {

// A module with a parameter and a buffer of its own between two children.
struct Sample : Module {
  Tensor scale = register_parameter("scale", Tensor::full({2}, 3));
  Tensor count = register_buffer("count", Tensor::zeros({1}));
  Conv2d& conv = add<Conv2d>("conv", Conv2dLayerOptions{.in_channels = 2, .out_channels = 3});
  BatchNorm2d& norm = add<BatchNorm2d>("norm", BatchNorm2dOptions{.channels = 3});
  void add_twice() { register_buffer("conv", Tensor::zeros({1})); }
  void add_nameless() { register_parameter("", Tensor::zeros({1})); }
};

std::vector<std::string> names(const StateDict& entries) {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : entries) out.push_back(name);
  return out;
}

}  // namespace

TEST_CASE("module: names in PyTorch's order") {
  const Sample sample;
  CHECK(names(sample.state_dict()) == std::vector<std::string>{"scale", "count", "conv.weight", "conv.bias",
                                                               "norm.weight", "norm.bias", "norm.running_mean",
                                                               "norm.running_var"});
  CHECK(names(sample.named_parameters()) ==
        std::vector<std::string>{"scale", "conv.weight", "conv.bias", "norm.weight", "norm.bias"});
  CHECK(sample.parameters().size() == 5);
  const auto modules = sample.named_modules();
  REQUIRE(modules.size() == 3);
  CHECK(modules[0].first == "");
  CHECK(modules[1].first == "conv");
  CHECK(modules[2].second == &sample.norm);
}

TEST_CASE("module: handles share storage and the gradient switch") {
  Sample sample;
  sample.state_dict()[0].second.data<float>()[1] = 7;
  CHECK(sample.scale.to<float>() == std::vector<float>{3, 7});
  CHECK(sample.conv.weight().requires_grad());
  CHECK_FALSE(sample.count.requires_grad());
  sample.set_requires_grad(false);
  CHECK_FALSE(sample.conv.weight().requires_grad());
  CHECK_FALSE(sample.scale.requires_grad());
}

TEST_CASE("module: a name is used once and not empty") {
  Sample sample;
  CHECK_THROWS_WITH_AS(sample.add_twice(), "[module] \"conv\" is registered already: names within a module differ",
                       Error);
  CHECK_THROWS_AS(sample.add_nameless(), Error);
}

TEST_CASE("module: train and eval reach every child but the frozen") {
  Sample sample;
  CHECK(sample.norm.is_training());
  sample.eval();
  CHECK_FALSE(sample.norm.is_training());
  sample.train();
  CHECK(sample.norm.is_training());
  sample.norm.freeze();
  sample.train();
  CHECK(sample.is_training());
  CHECK(sample.norm.is_frozen());
  CHECK_FALSE(sample.norm.is_training());
  CHECK_FALSE(sample.norm.weight().requires_grad());
  sample.norm.unfreeze();
  sample.train();
  CHECK(sample.norm.is_training());
  CHECK(sample.norm.weight().requires_grad());
}

TEST_CASE("module: a frozen parent's parts keep their mode and statistics, and record nothing") {
  Sample sample;
  sample.freeze();
  sample.train();
  const Tensor y = sample.norm(sample.conv(Tensor::full({2, 2, 5, 5}, 1)));
  CHECK_FALSE(y.requires_grad());
  CHECK(sample.norm.running_mean().to<float>() == std::vector<float>{0, 0, 0});
}

TEST_CASE("sequential: numbered layers, applied in order") {
  Sequential net;
  net.append<Conv2d>(Conv2dLayerOptions{.in_channels = 1, .out_channels = 2, .kernel = 1, .bias = false});
  net.append<MaxPool2d>(Pool2dOptions{.kernel = 2});
  net.append<GlobalAvgPool>();
  net.append<Linear>(LinearOptions{.in_features = 2, .out_features = 1, .bias = false});
  CHECK(names(net.state_dict()) == std::vector<std::string>{"0.weight", "3.weight"});
  const StateDict state = net.state_dict();
  for (const auto& [name, weight] : state)
    for (int i = 0; i < 2; ++i) weight.data<float>()[i] = static_cast<float>(i + 1);
  // Pooled maxima 4 and 8 (means 6), channels 6 and 12, 1 * 6 + 2 * 12.
  const Tensor x = Tensor::from<float>({1, 2, 5, 6, 3, 4, 7, 8}, {1, 1, 2, 4});
  CHECK(net(x).item() == doctest::Approx(30));
  CHECK(net.size() == 4);
}

TEST_CASE("forward observer: sees the layers that compute, in order, only while it lives") {
  Sample sample;
  std::vector<std::string> seen;
  const Tensor x = Tensor::zeros({2, 2, 4, 4});
  {
    const ForwardObserver observer([&](const Module& layer, const Tensor& y) {
      seen.push_back(fmt::format("{} {}", &layer == &sample.conv ? "conv" : "norm", y.shape()));
    });
    sample.norm(sample.conv(x));
  }
  sample.conv(x);
  CHECK(seen == std::vector<std::string>{"conv (2, 3, 2, 2)", "norm (2, 3, 2, 2)"});
}
