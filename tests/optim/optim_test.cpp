#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "engine/io/checkpoint.h"
#include "engine/ops/shape_ops.h"
#include "engine/optim/adamw.h"
#include "engine/optim/clip.h"
#include "engine/optim/sgd.h"
#include "tests/golden.h"

using namespace engine;

namespace {

constexpr double rates[] = {0.1, 0.1, 0.05, 0.02, 0.3};  // as tests/golden/make_optim.py

const Golden& golden() {
  static const Golden values("optim.safetensors");
  return values;
}

// The two parameters at their start values; the first lies as nothing special, in `dtype`.
StateDict start(DType dtype) {
  StateDict out;
  for (const char* name : {"0", "1"}) {
    Tensor parameter = clone(cast(golden()[std::string("parameter.") + name], dtype));
    parameter.set_requires_grad();
    out.emplace_back(name, parameter);
  }
  return out;
}

void give_gradients(const StateDict& parameters, int step, bool skip) {
  for (const auto& [name, parameter] : parameters)
    if (!(skip && step == 2 && name == "1"))
      parameter.set_grad(cast(golden()[fmt::format("gradient.{}.{}", step, name)], parameter.dtype()));
}

void check_step(const StateDict& parameters, const std::string& optimizer, int step, double tolerance) {
  for (const auto& [name, parameter] : parameters) {
    CAPTURE(optimizer);
    CAPTURE(step);
    const std::vector<double> values = parameter.to<double>(),
                              expected = golden()[fmt::format("{}.{}.{}", optimizer, step, name)].to<double>();
    REQUIRE(values.size() == expected.size());
    for (std::size_t i = 0; i < values.size(); ++i) CHECK(std::abs(values[i] - expected[i]) < tolerance);
  }
}

using Make = std::unique_ptr<Optimizer> (*)(StateDict);

// Five steps as PyTorch makes them, in f64 to rounding and in f32 to single precision.
void follow(const std::string& name, Make make, bool skip) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const StateDict parameters = start(dtype);
    const std::unique_ptr<Optimizer> optimizer = make(parameters);
    for (int step = 0; step < 5; ++step) {
      optimizer->zero_grad();
      give_gradients(parameters, step, skip);
      optimizer->step(rates[step]);
      check_step(parameters, name, step, dtype == DType::f64 ? 1e-12 : 2e-6);
    }
  }
}

std::unique_ptr<Optimizer> nesterov(StateDict parameters) {
  return std::make_unique<Sgd>(std::move(parameters),
                               SgdOptions{.momentum = 0.9, .weight_decay = 5e-2, .nesterov = true});
}

std::unique_ptr<Optimizer> adamw(StateDict parameters) {
  return std::make_unique<AdamW>(std::move(parameters),
                                 AdamWOptions{.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-6, .weight_decay = 0.1});
}

// Two steps, then a second optimizer takes over parameters and state and makes the rest.
void continue_elsewhere(const std::string& name, Make make, bool skip) {
  const StateDict first = start(DType::f64), second = start(DType::f64);
  const std::unique_ptr<Optimizer> before = make(first), after = make(second);
  for (int step = 0; step < 2; ++step) {
    give_gradients(first, step, skip);
    before->step(rates[step]);
  }
  load_state(first, second);
  load_state(before->state_dict(), after->state_dict());
  for (int step = 2; step < 5; ++step) {
    after->zero_grad();
    give_gradients(second, step, skip);
    after->step(rates[step]);
    check_step(second, name, step, 1e-12);
  }
}

}  // namespace

TEST_CASE("sgd: five steps equal PyTorch's, a parameter without gradient rests") {
  follow(
      "sgd", [](StateDict p) -> std::unique_ptr<Optimizer> { return std::make_unique<Sgd>(p, SgdOptions{}); }, true);
  follow(
      "sgd_momentum",
      [](StateDict p) -> std::unique_ptr<Optimizer> {
        return std::make_unique<Sgd>(p, SgdOptions{.momentum = 0.9, .weight_decay = 2e-2});
      },
      true);
  follow("sgd_nesterov", nesterov, true);
}

TEST_CASE("adamw: five steps equal PyTorch's") { follow("adamw", adamw, false); }

TEST_CASE("optimizers: another one continues from the state dict") {
  continue_elsewhere("sgd_nesterov", nesterov, true);
  continue_elsewhere("adamw", adamw, false);
}

TEST_CASE("optimizers: names of the state, zero_grad, bad options") {
  const StateDict parameters = start(DType::f32);
  const auto names = [](const Optimizer& optimizer) {
    std::vector<std::string> out;
    for (const auto& [name, tensor] : optimizer.state_dict()) out.push_back(name);
    return out;
  };
  Sgd sgd(parameters, {.momentum = 0.9});
  CHECK(names(sgd) == std::vector<std::string>{"0.momentum", "1.momentum"});
  CHECK(names(AdamW(parameters)) ==
        std::vector<std::string>{"0.exp_avg", "1.exp_avg", "0.exp_avg_sq", "1.exp_avg_sq", "step"});
  give_gradients(parameters, 0, false);
  sgd.zero_grad();
  CHECK_FALSE(parameters[0].second.grad().defined());
  CHECK_THROWS_AS(Sgd(parameters, {.nesterov = true}), Error);
  CHECK_THROWS_AS(Sgd(parameters, {.momentum = 1}), Error);
  CHECK_THROWS_AS(Sgd(parameters, {.weight_decay = -1}), Error);
  CHECK_THROWS_AS(Sgd({}, {}), Error);
  CHECK_THROWS_AS(AdamW(parameters, {.beta1 = 1}), Error);
  CHECK_THROWS_AS(Sgd({parameters[0], parameters[0]}, {}), Error);
}

TEST_CASE("sgd: a gradient in another layout than its parameter's") {
  Tensor p = Tensor::from<float>({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, {1, 3, 2, 2});
  p.set_requires_grad();
  const Tensor g = Tensor::from<float>({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {1, 3, 2, 2});
  p.set_grad(contiguous(g, MemoryFormat::channels_last));
  Sgd({{"p", p}}, {}).step(1);
  CHECK(p.to<float>() == std::vector<float>{-1, -2, -3, -4, -5, -6, -7, -8, -9, -10, -11, -12});
}

TEST_CASE("clip_grad_norm: one factor for all, the norm before is returned") {
  Tensor a = Tensor::zeros({2}), b = Tensor::zeros({1}), without = Tensor::zeros({3});
  for (Tensor* t : {&a, &b, &without}) t->set_requires_grad();
  const auto give = [&] {
    a.set_grad(Tensor::from<float>({2, -1}, {2}));
    b.set_grad(Tensor::from<float>({2}, {1}));
  };
  give();
  CHECK(clip_grad_norm({a, b, without}, 3.5) == doctest::Approx(3));
  CHECK(a.grad().to<float>() == std::vector<float>{2, -1});
  CHECK(clip_grad_norm({a, b, without}, 0.3) == doctest::Approx(3));
  CHECK(a.grad().to<float>()[0] == doctest::Approx(0.2));
  CHECK(a.grad().to<float>()[1] == doctest::Approx(-0.1));
  CHECK(b.grad().item() == doctest::Approx(0.2));
  CHECK_FALSE(without.grad().defined());
  b.set_grad(Tensor::full({1}, std::numeric_limits<double>::infinity()));
  CHECK(std::isinf(clip_grad_norm({a, b}, 0.3)));
  CHECK(a.grad().to<float>()[0] == doctest::Approx(0.2));
  CHECK_THROWS_AS(clip_grad_norm({a}, 0), Error);
}

TEST_CASE("clip_grad_value: every element into the interval") {
  Tensor a = Tensor::zeros({4});
  a.set_requires_grad();
  a.set_grad(Tensor::from<float>({2, -1, .25, -.5}, {4}));
  clip_grad_value({a}, 0.5);
  CHECK(a.grad().to<float>() == std::vector<float>{.5, -.5, .25, -.5});
}
