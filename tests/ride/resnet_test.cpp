#include "ride/models/resnet.h"

#include <doctest/doctest.h>

#include "engine/autograd/autocast.h"
#include "engine/core/profile.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "ride/models/describe.h"
#include "tests/distance.h"
#include "tests/ride/model_golden.h"

using namespace engine;
using namespace ride;

namespace {

// f32 through 17 convolutions of up to 4,608 products against f64; layer4's statistics are over 36 values a channel.
constexpr double value_tolerance = 2e-5;
// A block alone: sums of up to 60 products, normalised.
constexpr double block_tolerance = 1e-5;

void compare_with_pytorch(ResNet& net, const std::string& prefix, MemoryFormat format) {
  fill(net);
  const Tensor x = contiguous(by_formula({4, 3, 65, 65}, 1000, {-1, 1}), format);
  net.eval();
  check_close(prefix + ".eval_logits", net(x), value_tolerance);
  net.train();
  const Tensor logits = net(x);
  check_close(prefix + ".train_logits", logits, value_tolerance);
  check_close(prefix + ".loss", cross_entropy(logits, Tensor::from<int64_t>({0, 3, 6, 9}, {4})), value_tolerance);
  int compared = 0;
  for (const auto& [name, tensor] : net.state_dict())
    if (golden().contains(prefix + ".after." + name))
      check_close(prefix + ".after." + name, tensor, value_tolerance), ++compared;
  CHECK(compared == 3);
}

}  // namespace

TEST_CASE("resnet: a block equals PyTorch's in output and every gradient") {
  struct Row {
    const char* name;
    BottleneckOptions options;
  };
  for (const Row& row : {Row{"block", {.in_channels = 6, .planes = 3, .stride = 2}},
                         {"block_same", {.in_channels = 12, .planes = 3}},
                         {"block_grouped", {.in_channels = 6, .planes = 4, .width = {.groups = 2, .group_width = 32}}}})
    for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
      Bottleneck block(row.options, default_generator());
      fill(block);
      const std::string prefix = std::string(row.name) + ".";
      Tensor x = contiguous(by_formula({2, row.options.in_channels, 5, 6}, 1000, {-1, 1}), format);
      x.set_requires_grad();
      const Tensor y = block(x);
      check_close(prefix + "y", y, block_tolerance);
      sum(y * by_formula(y.shape(), 1001, {-1, 1})).backward();
      check_close(prefix + "grad.x", x.grad(), block_tolerance);
      for (const auto& [name, parameter] : block.named_parameters())
        check_close(prefix + "grad." + name, parameter.grad(), block_tolerance);
    }
}

TEST_CASE("resnet: the whole network equals PyTorch's in logits, loss and running statistics") {
  for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
    ResNet plain({.blocks = {2, 1, 1, 1}, .classes = 10});
    compare_with_pytorch(plain, "bottleneck", format);
    ResNet grouped({.blocks = {1, 1, 1, 1}, .classes = 10, .width = {.groups = 4, .group_width = 16}});
    compare_with_pytorch(grouped, "grouped", format);
  }
}

// The loss falls along the gradient g by |g|^2 a unit: a step of 1e-2 / |g|^2 each way changes it by 2e-2. Rounding of
// the loss is 1e-6, its curvature cancels in the difference; the ReLUs that change sign on the way leave some percent.
TEST_CASE("resnet: the loss changes along its gradient as the gradient says") {
  ResNet net({.blocks = {1, 1, 1, 1}, .classes = 10});
  fill(net);
  const Tensor x = contiguous(by_formula({4, 3, 65, 65}, 1000, {-1, 1}), MemoryFormat::channels_last);
  const auto loss = [&] { return cross_entropy(net(x), Tensor::from<int64_t>({0, 3, 6, 9}, {4})); };
  loss().backward();
  double squares = 0;
  for (const Tensor& p : net.parameters()) squares += sum(p.grad() * p.grad()).item();
  const NoGradGuard no_grad;
  const auto move = [&](double step) {
    for (const Tensor& p : net.parameters()) copy_into(p.detach() + p.grad() * step, p);
  };
  const double step = 1e-2 / squares;
  move(step);
  const double up = loss().item();
  move(-2 * step);
  CHECK((up - loss().item()) / (2 * step) == doctest::Approx(squares).epsilon(0.05));
}

TEST_CASE("resnet: published parameter counts and MACs at 224x224") {
  struct Row {
    const char* name;
    int64_t parameters;
    double macs;  // in 1e9, of convolutions and the linear layer
  };
  for (const Row& row : {Row{"resnet50", 25557032, 4.09}, {"resnext50", 25028904, 4.23}}) {
    CAPTURE(row.name);
    ResNet net(resnet_named(row.name));
    const Description description = describe(net);
    CHECK(description.parameters == row.parameters);
    CHECK(static_cast<double>(description.total.macs) / 1e9 == doctest::Approx(row.macs).epsilon(0.005 / row.macs));
    CHECK(description.layers.front().output == Shape{1, 64, 112, 112});
    CHECK(description.layers.back().output == Shape{1, 1000});
  }
  const auto parameters = [](const ResNetOptions& options) {
    int64_t count = 0;
    for (const Tensor& parameter : ResNet(options).parameters()) count += parameter.numel();
    return count;
  };
  CHECK(parameters(resnet_named("resnet101")) == 44549160);
  CHECK(parameters(resnet_named("resnet152")) == 60192808);
}

TEST_CASE("resnet: parameters have torchvision's names, in its order") {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : ResNet({.blocks = {1, 1, 1, 2}}).named_parameters()) names.push_back(name);
  std::vector<std::string> expected{"conv1.weight", "bn1.weight", "bn1.bias"};
  for (const char* block : {"layer1.0", "layer2.0", "layer3.0", "layer4.0", "layer4.1"}) {
    for (const char* part : {"conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "bn2.weight", "bn2.bias",
                             "conv3.weight", "bn3.weight", "bn3.bias"})
      expected.push_back(fmt::format("{}.{}", block, part));
    if (std::string(block) != "layer4.1")
      for (const char* part : {"0.weight", "1.weight", "1.bias"})
        expected.push_back(fmt::format("{}.downsample.{}", block, part));
  }
  expected.insert(expected.end(), {"fc.weight", "fc.bias"});
  CHECK(names == expected);
}

TEST_CASE("resnet: channels_last end to end without a conversion") {
  ResNet net({.blocks = {1, 2, 1, 1}, .classes = 7});
  const Tensor x = contiguous(by_formula({2, 3, 64, 96}, 1, {-1, 1}), MemoryFormat::channels_last);
  profile::reset();
  profile::enable(true);
  cross_entropy(net(x), Tensor::from<int64_t>({0, 6}, {2})).backward();
  profile::enable(false);
  int64_t convolutions = 0;
  for (const profile::Row& row : profile::rows()) {
    CAPTURE(row.name);
    CHECK_FALSE(row.name.starts_with("convert"));
    if (row.name == "conv2d") convolutions = row.calls;
  }
  profile::reset();
  CHECK(convolutions == 1 + 5 * 3 + 4);
}

// bf16 keeps 8 bits: a rounding of 0.4 % per layer, over 17 layers, of logits that are sums of both signs.
TEST_CASE("resnet: bf16 activations give f32 logits near those of f32") {
  ResNet net({.blocks = {1, 1, 1, 1}, .classes = 10});
  fill(net);
  const Tensor x = contiguous(by_formula({4, 3, 65, 65}, 1000, {-1, 1}), MemoryFormat::channels_last);
  const Tensor wanted = net(x);
  const Autocast autocast(DType::bf16);
  const Tensor logits = net(x);
  CHECK(logits.dtype() == DType::f32);
  CHECK(engine::test::relative_distance(logits, wanted) > 0);
  CHECK(engine::test::relative_distance(logits, wanted) < 0.1);
}

TEST_CASE("resnet: options out of range and unknown names are refused") {
  CHECK_THROWS_WITH(resnet_named("resnet51"), doctest::Contains("resnet51"));
  CHECK_THROWS_WITH(ResNet({.blocks = {3, 0, 6, 3}}), doctest::Contains("at least one block"));
  CHECK_THROWS_WITH(ResNet({.width = {.groups = 0}}), doctest::Contains("0 groups"));
  CHECK_THROWS_AS(ResNet({.classes = 0}), Error);
}
