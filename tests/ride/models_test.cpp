#include <doctest/doctest.h>

#include <cmath>

#include "engine/autograd/grad_check.h"
#include "engine/core/profile.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "ride/models/describe.h"
#include "ride/models/resnet_cifar.h"
#include "ride/models/shortcut.h"
#include "tests/ride/formula.h"
#include "tests/ride/model_golden.h"

using namespace engine;
using namespace ride;

namespace {

ResNetCifarOptions ride_options(int64_t experts) { return {.experts = experts, .reduce_dimension = experts > 1}; }

// f32 through 31 convolutions differs from the stored f64 results by at most 2e-6 here; other kernels may sum in
// another order.
constexpr MemoryFormat all_formats[] = {MemoryFormat::contiguous, MemoryFormat::channels_last,
                                        MemoryFormat::batch_lanes};

constexpr double value_tolerance = 1e-5, gradient_tolerance = 5e-5;

// `key` of the images, for which no ReLU's sign hangs on rounding, is what tests/golden/make_models.py prints.
void compare_with_pytorch(ResNetCifar& net, const std::string& prefix, uint32_t key) {
  fill(net);
  Tensor x = by_formula({4, 3, 16, 16}, key, {-1, 1});
  x.set_requires_grad();
  const Tensor labels = Tensor::from<int64_t>({0, 3, 6, 9}, {4});
  net.eval();
  check_close(prefix + ".eval_logits", stack(net.forward(x).logits, 0), value_tolerance);
  net.train();
  const ExpertOutput out = net.forward(x);
  check_close(prefix + ".train_logits", stack(out.logits, 0), value_tolerance);
  Tensor loss = Tensor::scalar(0);
  for (const Tensor& logits : out.logits) loss = loss + cross_entropy(logits, labels);
  check_close(prefix + ".loss", loss, value_tolerance);
  loss.backward();
  check_close(prefix + ".grad.x", x.grad(), gradient_tolerance);
  int compared = 0;
  for (const auto& [name, tensor] : net.state_dict()) {
    if (golden().contains(prefix + ".grad." + name))
      check_close(prefix + ".grad." + name, tensor.grad(), gradient_tolerance), ++compared;
    if (golden().contains(prefix + ".after." + name))
      check_close(prefix + ".after." + name, tensor, value_tolerance), ++compared;
  }
  CHECK(compared == (prefix == "ride2" ? 11 : 7));
}

}  // namespace

TEST_CASE("models: a two-expert net equals PyTorch's in logits, gradients and running statistics") {
  for (const MemoryFormat format : all_formats) {
    ResNetCifar net({.classes = 10, .experts = 2, .reduce_dimension = true, .format = format});
    compare_with_pytorch(net, "ride2", 1003);
  }
}

TEST_CASE("models: ResNet-32 with a linear classifier equals PyTorch's") {
  for (const MemoryFormat format : all_formats) {
    ResNetCifar net({.classes = 10, .classifier = Classifier::linear, .format = format});
    compare_with_pytorch(net, "resnet32", 1004);
  }
}

TEST_CASE("models: published parameter counts and MACs") {
  struct Row {
    int64_t experts, parameters;
    double macs_with_bn;  // millions
  };
  for (const Row& row :
       {Row{1, 469904, 69.47}, {2, 530512, 75.65}, {3, 783856, 101.27}, {4, 1037200, 126.90}, {6, 1543888, 178.15}}) {
    ResNetCifar net(ride_options(row.experts));
    const Description description = describe(net);
    CAPTURE(row.experts);
    CHECK(description.parameters == row.parameters);
    CHECK(std::abs(static_cast<double>(description.total.macs_with_bn) / 1e6 - row.macs_with_bn) < 0.006);
  }
  ResNetCifar plain({});
  CHECK(std::abs(static_cast<double>(describe(plain).total.macs) / 1e6 - 68.87) < 0.006);
  ResNetCifar linear({.classifier = Classifier::linear});
  CHECK(describe(linear).parameters == 470004);
}

TEST_CASE("models: cost per number of experts, with and without assignment heads") {
  ResNetCifar net(ride_options(3));
  net.train();
  const Description bare = describe(net);
  CHECK(net.is_training());
  REQUIRE(bare.by_experts.size() == 3);
  CHECK(bare.by_experts[2].macs_with_bn == bare.total.macs_with_bn);
  const int64_t expert = bare.by_experts[1].macs_with_bn - bare.by_experts[0].macs_with_bn;
  CHECK(std::abs(static_cast<double>(expert) / 1e6 - 25.63) < 0.006);
  CHECK(std::abs(static_cast<double>(bare.by_experts[0].macs_with_bn - expert) / 1e6 - 24.39) < 0.006);

  const Description routed = describe(net, {.assignment = {.parameters = 1615, .macs_per_head = 814}});
  CHECK(routed.parameters == 783856 + 1615);
  CHECK(routed.by_experts[0].macs == bare.by_experts[0].macs + 814);
  CHECK(routed.by_experts[1].macs == bare.by_experts[1].macs + 2 * 814);
  CHECK(routed.by_experts[2].macs == bare.by_experts[2].macs + 2 * 814);

  CHECK(bare.layers.front().name == "conv1");
  CHECK(bare.layers.front().output == Shape{1, 16, 32, 32});
  CHECK(bare.layers.front().macs == 27 * 16 * 32 * 32);
  CHECK(bare.layers.back().name == "linears.2");
  CHECK(bare.layers.back().kind == "NormedLinear");
  CHECK(bare.table().find("layer3s.1.4.conv2") != std::string::npos);
}

TEST_CASE("models: state dict names of RIDE-3 and of one expert") {
  const auto block = [](const std::string& prefix) {
    std::vector<std::string> out;
    for (const char* layer : {"1", "2"}) {
      out.push_back(prefix + ".conv" + layer + ".weight");
      for (const char* entry : {"weight", "bias", "running_mean", "running_var"})
        out.push_back(prefix + ".bn" + layer + "." + entry);
    }
    return out;
  };
  const auto expected = [&](const std::vector<std::string>& stages, const std::vector<std::string>& heads) {
    std::vector<std::string> out{"conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"};
    for (const std::string& stage : stages)
      for (int i = 0; i < 5; ++i)
        for (std::string& name : block(stage + "." + std::to_string(i))) out.push_back(name);
    out.insert(out.end(), heads.begin(), heads.end());
    return out;
  };
  const auto names = [](const Module& net) {
    std::vector<std::string> out;
    for (const auto& [name, tensor] : net.state_dict()) out.push_back(name);
    return out;
  };
  CHECK(names(ResNetCifar(ride_options(3))) ==
        expected({"layer1", "layer2s.0", "layer2s.1", "layer2s.2", "layer3s.0", "layer3s.1", "layer3s.2"},
                 {"linears.0.weight", "linears.1.weight", "linears.2.weight"}));
  CHECK(names(ResNetCifar({.classifier = Classifier::linear})) ==
        expected({"layer1", "layer2", "layer3"}, {"linear.weight", "linear.bias"}));
  const StateDict ride3 = ResNetCifar(ride_options(3)).state_dict();
  CHECK(ride3.back().second.shape() == Shape{48, 100});
}

TEST_CASE("models: channels_last end to end without a conversion") {
  ResNetCifar net({.classes = 7, .experts = 2, .reduce_dimension = true, .format = MemoryFormat::channels_last});
  const Tensor x = contiguous(by_formula({3, 3, 17, 15}, 1, {-1, 1}), MemoryFormat::channels_last);
  CHECK(net.shared(x).format() == MemoryFormat::channels_last);
  profile::reset();
  profile::enable(true);
  const ExpertOutput out = net.forward(x);
  cross_entropy(out.logits[0] + out.logits[1], Tensor::from<int64_t>({0, 1, 6}, {3})).backward();
  profile::enable(false);
  int64_t convolutions = 0;
  for (const profile::Row& row : profile::rows()) {
    CAPTURE(row.name);
    CHECK_FALSE(row.name.starts_with("convert"));
    if (row.name == "conv2d") convolutions = row.calls;
  }
  profile::reset();
  CHECK(convolutions == 11 + 2 * 20);
  CHECK(out.logits[1].shape() == Shape{3, 7});
  CHECK(out.features[0].shape() == Shape{3, 48});
}

TEST_CASE("models: one conversion into batch_lanes, none inside, pooled features leave it") {
  ResNetCifar net({.classes = 7, .experts = 2, .reduce_dimension = true});
  const Tensor x = contiguous(by_formula({19, 3, 9, 11}, 1, {-1, 1}), MemoryFormat::channels_last);
  profile::reset();
  profile::enable(true);
  const ExpertOutput out = net.forward(x);
  cross_entropy(out.logits[0] + out.logits[1], Tensor::from(std::vector<int64_t>(19, 3), {19})).backward();
  profile::enable(false);
  for (const profile::Row& row : profile::rows())
    if (row.name.starts_with("convert")) {
      CHECK(row.name == "convert channels_last -> batch_lanes");
      CHECK(row.calls == 1);
    }
  profile::reset();
  CHECK(net.shared(x).format() == MemoryFormat::batch_lanes);
  CHECK(out.features[0].is_contiguous());
}

TEST_CASE("models: few images and large ones stay in the format they come in") {
  ResNetCifar net({.classes = 7});
  net.eval();
  CHECK(net.shared(Tensor::zeros({1, 3, 8, 8})).format() == MemoryFormat::contiguous);
  CHECK(net.shared(Tensor::zeros({8, 3, 8, 8})).format() == MemoryFormat::batch_lanes);
  CHECK(net.shared(Tensor::zeros({8, 3, 65, 64}, {.format = MemoryFormat::channels_last})).format() ==
        MemoryFormat::channels_last);
}

TEST_CASE("shortcut_a: every second pixel between empty channels, in every format") {
  std::vector<float> values(2 * 2 * 3 * 3);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  const Tensor plain = Tensor::from(values, {2, 2, 3, 3});
  const std::vector<float> expected{0, 0, 0, 0, 1,  3,  7,  9,  10, 12, 16, 18, 0, 0, 0, 0,
                                    0, 0, 0, 0, 19, 21, 25, 27, 28, 30, 34, 36, 0, 0, 0, 0};
  for (const MemoryFormat format : all_formats) {
    const Tensor y = shortcut_a(contiguous(plain, format), {.planes = 4});
    CHECK(y.shape() == Shape{2, 4, 2, 2});
    CHECK(y.format() == format);
    CHECK(y.to<float>() == expected);
  }
  CHECK_THROWS_AS(shortcut_a(plain, {.planes = 5}), Error);
  CHECK_THROWS_AS(shortcut_a(plain, {.planes = 1}), Error);
}

TEST_CASE("shortcut_a: gradient by central differences, odd sizes and an empty batch") {
  for (const Shape& shape : {Shape{2, 3, 5, 4}, {1, 1, 1, 1}, {0, 2, 3, 3}}) {
    Tensor x = cast(by_formula(shape, 3, {-1, 1}), DType::f64);
    x.set_requires_grad();
    const auto result = grad_check(
        [](const std::vector<Tensor>& inputs) { return shortcut_a(inputs[0], {.planes = inputs[0].size(1) + 2}); },
        {x});
    CHECK_MESSAGE(result.ok, result.message);
  }
}

TEST_CASE("models: a frozen net keeps its statistics, and options out of range are refused") {
  ResNetCifar net({.classes = 5, .experts = 2, .reduce_dimension = true});
  net.freeze();
  net.train();
  const std::vector<float> before = net.state_dict()[3].second.to<float>();  // bn1.running_mean
  const ExpertOutput out = net.forward(by_formula({2, 3, 8, 8}, 2, {-1, 1}));
  CHECK_FALSE(out.logits[0].requires_grad());
  CHECK(net.state_dict()[3].second.to<float>() == before);
  CHECK_THROWS_AS(ResNetCifar({.experts = 9}), Error);
  CHECK_THROWS_AS(ResNetCifar({.experts = 0}), Error);
  CHECK_THROWS_AS(ResNetCifar({.classes = 0}), Error);
  CHECK_THROWS_AS(net.classify(2, out.features[0]), Error);
}
