#include <doctest/doctest.h>

#include <cmath>

#include "engine/autograd/node.h"
#include "engine/nn/activation.h"
#include "engine/nn/batch_norm2d.h"
#include "engine/nn/conv2d.h"
#include "engine/nn/init.h"
#include "engine/nn/linear.h"
#include "engine/nn/pool.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"

using namespace engine;

namespace {

void set(const Tensor& t, const std::vector<float>& values) {
  REQUIRE(t.numel() == static_cast<int64_t>(values.size()));
  std::copy(values.begin(), values.end(), t.data<float>());
}

void check_close(const Tensor& t, const std::vector<float>& expected) {
  const std::vector<float> values = t.to<float>();
  REQUIRE(values.size() == expected.size());
  for (std::size_t i = 0; i < values.size(); ++i) CHECK(values[i] == doctest::Approx(expected[i]).epsilon(1e-5));
}

}  // namespace

TEST_CASE("Conv2d: shapes, groups, bias and its errors") {
  Conv2d conv(
      {.in_channels = 4, .out_channels = 6, .kernel = {3, 1}, .conv = {.stride = 2, .padding = {1, 0}, .groups = 2}});
  CHECK(conv.weight().shape() == Shape{6, 2, 3, 1});
  CHECK(conv.bias().shape() == Shape{6});
  CHECK(conv(Tensor::zeros({2, 4, 7, 5})).shape() == Shape{2, 6, 4, 3});
  check_close(sum(conv(Tensor::zeros({1, 4, 1, 1}))), {sum(conv.bias()).to<float>()[0]});
  CHECK_FALSE(Conv2d({.in_channels = 1, .out_channels = 1, .bias = false}).bias().defined());
  CHECK_THROWS_AS(Conv2d({.in_channels = 3, .out_channels = 4, .conv = {.groups = 2}}), Error);
  CHECK_THROWS_AS(Conv2d({.in_channels = 0, .out_channels = 4}), Error);
}

TEST_CASE("BatchNorm2d: batch statistics in training, running ones in eval mode, residual and ReLU inside") {
  BatchNorm2d norm({.channels = 1, .momentum = 0.5, .eps = 0});
  const Tensor x = Tensor::from<float>({1, 3, 5, 7}, {2, 1, 1, 2});  // mean 4, variance 5, unbiased 20/3
  const float s = 1 / std::sqrt(5.f);
  check_close(norm(x), {-3 * s, -s, s, 3 * s});
  check_close(norm.running_mean(), {2});
  check_close(norm.running_var(), {0.5f + 10 / 3.f});
  norm.eval();
  set(norm.running_var(), {4});
  check_close(norm(x), {-.5, .5, 1.5, 2.5});
  const Tensor residual = Tensor::from<float>({0, -1, 1, 0}, {2, 1, 1, 2});
  check_close(norm(x, {.residual = residual, .relu = true}), {0, 0, 2.5, 2.5});
  CHECK(norm.running_mean().item() == 2);
}

TEST_CASE("Linear: weight (out, in) and bias") {
  Linear linear({.in_features = 2, .out_features = 3});
  set(linear.weight(), {1, 2, 3, 4, 5, 6});
  set(linear.bias(), {.5, 0, -1});
  check_close(linear(Tensor::from<float>({1, -1}, {1, 2})), {-.5, -1, -2});
  CHECK_THROWS_AS(Linear({.in_features = 2}), Error);
}

TEST_CASE("NormedLinear: scaled cosines, weight (in, out), gradients at right angles to what is normalised") {
  NormedLinear cosine({.in_features = 2, .out_features = 3, .scale = 10});
  CHECK(cosine.weight().shape() == Shape{2, 3});
  set(cosine.weight(), {1, 0, 3, 0, 2, 3});
  Tensor x = Tensor::from<float>({3, 4, 0, 0}, {2, 2});
  x.set_requires_grad();
  const Tensor y = cosine(x);
  check_close(y, {6, 8, 14 / std::sqrt(2.f), 0, 0, 0});  // a zero feature gives zeros, not NaN
  sum(y * Tensor::from<float>({1, 2, -1, 0, 0, 0}, {2, 3})).backward();
  const std::vector<float> dx = x.grad().to<float>(), dw = cosine.weight().grad().to<float>(),
                           w = cosine.weight().to<float>();
  CHECK(3 * dx[0] + 4 * dx[1] == doctest::Approx(0).epsilon(1e-5));
  CHECK(std::abs(dx[0]) > 0.1);
  for (int column = 0; column < 3; ++column)
    CHECK(w[column] * dw[column] + w[3 + column] * dw[3 + column] == doctest::Approx(0).epsilon(1e-5));
  // d(10 cos)/dx = 10 (w/|w| - cos x/|x|) / |x|, here sum of three columns weighted 1, 2, -1
  const float c = 7 / std::sqrt(50.f), r = std::sqrt(.5f);
  CHECK(dx[0] == doctest::Approx(2 * ((1 - .36f) + 2 * (0 - .48f) - (r - c * .6f))).epsilon(1e-4));
}

TEST_CASE("pooling and activation layers") {
  const Tensor x = Tensor::from<float>({1, -2, 3, 4, 5, 6, 7, -8}, {1, 2, 2, 2});
  check_close(MaxPool2d({.kernel = 2})(x), {4, 7});
  check_close(AvgPool2d({.kernel = 2})(x), {1.5, 2.5});
  CHECK(GlobalAvgPool()(x).shape() == Shape{1, 2});
  check_close(GlobalAvgPool()(x), {1.5, 2.5});
  check_close(ReLU()(x), {1, 0, 3, 4, 5, 6, 7, 0});
}

TEST_CASE("init: distributions, fan-in, and the same values from the same generator") {
  const Tensor w = Tensor::empty({64, 32, 3, 3});
  CHECK(init::fan_in(w) == 288);
  Generator generator(5);
  init::kaiming_normal(w, generator);
  double total = 0, squares = 0;
  for (const float v : w.to<float>()) total += v, squares += static_cast<double>(v) * v;
  const double n = static_cast<double>(w.numel()), deviation = std::sqrt(2.0 / 288);
  CHECK(std::abs(total / n) < 4 * deviation / std::sqrt(n));
  CHECK(std::sqrt(squares / n) == doctest::Approx(deviation).epsilon(0.02));

  const std::vector<float> first = w.to<float>();
  Generator again(5);
  init::kaiming_normal(w, again);
  CHECK(w.to<float>() == first);

  init::kaiming_uniform(w, generator);
  const double bound = 1 / std::sqrt(288.0);
  CHECK(max(w).item() <= bound);
  CHECK(max(w).item() > 0.99 * bound);
  CHECK(max(-w).item() <= bound);
  CHECK(max(-w).item() > 0.99 * bound);

  const Tensor columns = Tensor::empty({48, 100});
  init::unit_columns(columns, generator);
  for (const float v : sum(columns * columns, {.axes = {0}}).to<float>()) CHECK(v == doctest::Approx(1).epsilon(1e-5));

  const Tensor nhwc = Tensor::empty({4, 3, 3, 3}, {.format = MemoryFormat::channels_last}),
               plain = Tensor::empty({4, 3, 3, 3});
  Generator a(9), b(9);
  init::kaiming_uniform(nhwc, a);
  init::kaiming_uniform(plain, b);
  CHECK(nhwc.to<float>() == plain.to<float>());
  CHECK_THROWS_AS(init::fan_in(Tensor::empty({3})), Error);
}
