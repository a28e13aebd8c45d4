#include "engine/nn/inference_mode.h"

#include <doctest/doctest.h>

#include "engine/nn/fold_batch_norm.h"
#include "engine/nn/linear.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"

using namespace engine;

namespace {

Tensor random(const Shape& shape, float low, float high, uint64_t seed) {
  Generator generator(seed);
  Tensor x = Tensor::empty(shape);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = generator.uniform(low, high);
  return x;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to<double>(), y = b.to<double>();
  REQUIRE(x.size() == y.size());
  double most = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double d = std::abs(x[i] - y[i]);
    most = d <= most ? most : std::isnan(d) ? INFINITY : d;
  }
  return most;
}

}  // namespace

TEST_CASE("fold_batch_norm: one convolution does what the two layers do in eval mode") {
  for (const bool bias : {false, true}) {
    Conv2d conv({.in_channels = 5, .out_channels = 6, .conv = {.stride = 2, .padding = 1}, .bias = bias});
    BatchNorm2d bn({.channels = 6, .eps = 0.01});
    copy_into(random({6}, -2, 2, 1), bn.weight());
    copy_into(random({6}, -1, 1, 2), bn.bias());
    copy_into(random({6}, -1, 1, 3), bn.running_mean());
    copy_into(random({6}, 0.1, 3, 4), bn.running_var());
    bn.eval();
    const NoGradGuard no_grad;
    FoldedConv2d folded = fold_batch_norm(conv, bn);
    const Tensor x = random({3, 5, 7, 7}, -1, 1, 5), residual = random({3, 6, 4, 4}, -1, 1, 6);
    // 45 products below 1, scaled by up to 7.
    CHECK(largest_difference(folded(x), bn(conv(x))) < 5e-5);
    const BatchNormFusion fusion{.residual = residual, .relu = true};
    CHECK(largest_difference(folded(x, fusion), bn(conv(x), fusion)) < 5e-5);
  }
  CHECK_THROWS_AS(fold_batch_norm(Conv2d({.in_channels = 1, .out_channels = 2}), BatchNorm2d({.channels = 3})), Error);
}

TEST_CASE("InferenceMode: records nothing, derives once per weight, forgets at its end") {
  CHECK(InferenceMode::current() == nullptr);
  const Tensor a = Tensor::full({2}, 1), b = Tensor::full({2}, 2);
  int made = 0;
  const auto twice = [&](const Tensor& w) {
    return InferenceMode::current()->derived(w, [&] { return ++made, w * 2; });
  };
  {
    const InferenceMode inference;
    CHECK_FALSE(grad_enabled());
    CHECK(twice(a).to<float>()[0] == 2);
    CHECK(twice(b).to<float>()[0] == 4);
    CHECK(twice(a.detach()).to<float>()[0] == 2);
    CHECK(made == 2);
    {
      const InferenceMode inner;
      CHECK(twice(a).to<float>()[0] == 2);
      CHECK(made == 3);
    }
    twice(a);
    CHECK(made == 3);
  }
  CHECK(InferenceMode::current() == nullptr);
  CHECK(grad_enabled());
  const InferenceMode again;
  twice(a);
  CHECK(made == 4);
}

TEST_CASE("InferenceMode: the cosine classifier answers as before, from weights normalised once") {
  Generator generator(1);
  NormedLinear head({.in_features = 8, .out_features = 5, .scale = 30}, generator);
  const Tensor x = random({4, 8}, -1, 1, 2);
  const Tensor expected = head(x).detach();
  const InferenceMode inference;
  CHECK(largest_difference(head(x), expected) == 0);
  CHECK(largest_difference(head(x), expected) == 0);
}
