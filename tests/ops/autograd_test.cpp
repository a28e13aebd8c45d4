// The tape itself: accumulation, sharing, hooks, modes, lifetime.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/autograd/backward.h"
#include "engine/autograd/grad_check.h"
#include "engine/core/allocator.h"
#include "engine/ops/conv.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/norm.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"

using namespace engine;

namespace {

using Doubles = std::vector<double>;

Tensor leaf(const Doubles& values) {
  Tensor x = Tensor::from(values, {static_cast<int64_t>(values.size())});
  x.set_requires_grad();
  return x;
}

Doubles grad(const Tensor& x) { return x.grad().defined() ? x.grad().to<double>() : Doubles{}; }

}  // namespace

TEST_CASE("autograd: gradients of several backward calls add up, an undefined one clears them") {
  Tensor x = leaf({1, 2});
  sum(x * x).backward();
  CHECK(grad(x) == Doubles{2, 4});
  sum(x * 3).backward();
  CHECK(grad(x) == Doubles{5, 7});
  x.set_grad({});
  CHECK_FALSE(x.grad().defined());
  sum(x).backward();
  CHECK(grad(x) == Doubles{1, 1});
}

TEST_CASE("autograd: an old handle on a gradient keeps its values when more arrives") {
  Tensor x = leaf({1, 2});
  sum(x).backward();
  const Tensor before = x.grad();
  sum(x).backward();
  CHECK(before.to<double>() == Doubles{1, 1});
  CHECK(grad(x) == Doubles{2, 2});
}

TEST_CASE("autograd: a diamond visits each node once, with the sum of what flows in") {
  Tensor x = leaf({3});
  const Tensor shared = x * x;          // 9
  const Tensor left = shared * shared;  // x^4
  const Tensor right = exp(shared * 0.1);
  int visits = 0;
  register_hook(shared, [&](const Tensor&) {
    ++visits;
    return Tensor();
  });
  (left + right).backward(Tensor::from<double>({1}, {1}));
  CHECK(visits == 1);
  CHECK(grad(x)[0] == doctest::Approx(4 * 27 + std::exp(0.9) * 0.1 * 6));
}

TEST_CASE("autograd: one tensor as both inputs, and one leaf in several places") {
  Tensor x = leaf({2, 5});
  sum(x + x).backward();
  CHECK(grad(x) == Doubles{2, 2});
  x.set_grad({});
  sum(x * x).backward();
  CHECK(grad(x) == Doubles{4, 10});
  x.set_grad({});
  sum(x - x).backward();
  CHECK(grad(x) == Doubles{0, 0});
  x.set_grad({});
  const Tensor y = x * 2;
  sum(concat({x, y, x}, 0)).backward();
  CHECK(grad(x) == Doubles{4, 4});
}

// The gradient of a sum is an expanded view: adding to it in place would write all elements at once.
TEST_CASE("autograd: expanded gradients are added to correctly, in either order") {
  Tensor x = leaf({1, 2, 3});
  const Tensor squares = sum(x * x);
  (squares + mean(x)).backward();
  const Doubles expected = {2 + 1.0 / 3, 4 + 1.0 / 3, 6 + 1.0 / 3};
  for (int i = 0; i < 3; ++i) CHECK(grad(x)[i] == doctest::Approx(expected[i]));
  x.set_grad({});
  const Tensor average = mean(x);
  (average + sum(x * x)).backward();
  for (int i = 0; i < 3; ++i) CHECK(grad(x)[i] == doctest::Approx(expected[i]));
}

TEST_CASE("autograd: leaves own their gradient's memory") {
  Tensor a = leaf({1, 2}), b = leaf({3, 4});
  const Tensor dy = Tensor::from<double>({1, 1}, {2});
  backward(a + b, dy);
  for (const Tensor& x : {a, b}) {
    CHECK(x.grad().is_contiguous());
    CHECK_FALSE(x.grad().shares_storage(dy));
  }
  CHECK_FALSE(a.grad().shares_storage(b.grad()));
  a.set_grad({});
  sum(a).backward();
  CHECK(a.grad().is_contiguous());
}

TEST_CASE("autograd: only what needs a gradient is recorded") {
  Tensor x = leaf({1, 2});
  const Tensor plain = Tensor::from<double>({3, 4}, {2});
  CHECK((x * plain).requires_grad());
  CHECK_FALSE((plain * plain).requires_grad());
  CHECK_FALSE(less(x, plain).requires_grad());
  CHECK_FALSE(x.detach().requires_grad());
  CHECK_FALSE(argmax(x, 0).requires_grad());
  CHECK_FALSE(cast(x, DType::i64).requires_grad());
  sum(x * plain).backward();
  CHECK(grad(x) == Doubles{3, 4});
  CHECK_FALSE(plain.grad().defined());
}

TEST_CASE("autograd: NoGradGuard stops recording, nests, and gives the mode back") {
  Tensor x = leaf({1, 2});
  {
    NoGradGuard outer;
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE((x * 2).requires_grad());
    {
      GradMode inner(true);
      CHECK((x * 2).requires_grad());
    }
    CHECK_FALSE(grad_enabled());
    try {
      NoGradGuard thrown_through;
      throw 1;
    } catch (int) {
    }
    CHECK_FALSE(grad_enabled());
  }
  CHECK(grad_enabled());
  CHECK((x * 2).requires_grad());
}

TEST_CASE("autograd: hooks see the whole gradient and may replace it") {
  Tensor x = leaf({1, 2});
  Tensor y = x * 3;
  std::vector<Doubles> seen;
  register_hook(y, [&](const Tensor& g) {
    seen.push_back(g.to<double>());
    return g * 10;
  });
  register_hook(x, [&](const Tensor& g) {
    seen.push_back(g.to<double>());
    return Tensor();
  });
  (sum(y) + sum(y * y)).backward();
  CHECK(seen == std::vector<Doubles>{{1 + 6, 1 + 12}, {210, 390}});
  CHECK(grad(x) == Doubles{210, 390});
  sum(x).backward();  // a leaf's hook gets the gradient of this walk, not what was there before
  CHECK(seen.back() == Doubles{1, 1});
  CHECK_THROWS_WITH_AS(register_hook(Tensor::scalar(1), [](const Tensor&) { return Tensor(); }),
                       doctest::Contains("[register_hook]"), Error);
}

TEST_CASE("autograd: a graph is used once") {
  Tensor x = leaf({1, 2});
  const Tensor shared = exp(x);
  const Tensor y = sum(shared);
  y.backward();
  const Doubles first = grad(x);
  CHECK_THROWS_WITH_AS(y.backward(), "[backward] the graph through sum was already used: run the forward again", Error);
  CHECK_THROWS_WITH_AS(sum(shared * 2).backward(), doctest::Contains("through exp was already used"), Error);
  CHECK(grad(x) == first);  // neither left a part of a gradient behind
}

TEST_CASE("autograd: backward asks for a graph, a scalar or a gradient of the right shape") {
  Tensor x = leaf({1, 2});
  CHECK_THROWS_WITH_AS((x * 2).backward(), doctest::Contains("[backward]"), Error);
  CHECK_THROWS_WITH_AS((x * 2).backward(Tensor::zeros({3})), "[backward] gradient (3,) does not fit tensor (2,)",
                       Error);
  CHECK_THROWS_WITH_AS(Tensor::scalar(1).backward(), doctest::Contains("nothing to differentiate"), Error);
  CHECK_THROWS_WITH_AS((x * 2).set_requires_grad(), doctest::Contains("only leaves"), Error);
  CHECK_THROWS_WITH_AS(Tensor::arange(3).set_requires_grad(), doctest::Contains("only floating point"), Error);
}

TEST_CASE("autograd: gradients flow through views of views, and into views that are leaves") {
  Tensor x = Tensor::from<double>({1, 2, 3, 4, 5, 6}, {2, 3});
  x.set_requires_grad();
  const Tensor corner = slice(transpose(x, 0, 1), {.axis = 0, .start = 1});  // (2, 2): columns 1 and 2
  sum(select(corner, 1, 0) * select(corner, 1, 1)).backward();
  CHECK(grad(x) == Doubles{0, 5, 6, 0, 2, 3});
  Tensor view = slice(x.detach(), {.axis = 1, .start = 1}).set_requires_grad();
  sum(view * view).backward();
  CHECK(grad(view) == Doubles{4, 6, 10, 12});
}

TEST_CASE("autograd: a chain of 200,000 ops is walked and dropped without recursion") {
  Tensor x = leaf({1});
  {
    Tensor y = x;
    for (int i = 0; i < 200000; ++i) y = y + 0.5;
  }  // dropped unused
  CHECK_FALSE(x.grad().defined());
  Tensor y = x;
  for (int i = 0; i < 200000; ++i) y = y + 0.5;
  y.backward();
  CHECK(grad(x) == Doubles{1});
  CHECK(y.item() == 1 + 0.5 * 200000);
}

TEST_CASE("autograd: a wide and deep lattice is dropped without recursion") {
  Tensor x = leaf({1}), a = x, b = x;
  for (int i = 0; i < 50000; ++i) {
    const Tensor next = a + b;  // each node has two consumers
    b = (a - b) * 0.5;
    a = next * 0.5;
  }
  CHECK(a.requires_grad());
}

TEST_CASE("autograd: backward frees what the graph saved") {
  Tensor x = Tensor::full({1 << 16}, 0.5);
  x.set_requires_grad();
  const std::size_t before = cpu_allocator().stats().allocated;
  const std::size_t one = CachingAllocator::rounded(sizeof(float) << 16);
  const Tensor y = exp(sigmoid(tanh(x) * 2));
  const Tensor loss = sum(y);
  CHECK(cpu_allocator().stats().allocated >= before + 3 * one);  // the outputs of tanh, sigmoid and exp
  loss.backward();
  // y and the gradient of x are left, and the small loss.
  CHECK(cpu_allocator().stats().allocated <= before + 2 * one + 4096);
}

TEST_CASE("autograd: a dropped graph frees everything, so nothing owns itself") {
  const std::size_t before = cpu_allocator().stats().allocated;
  {
    Tensor x = Tensor::full({2, 4, 8, 8}, 0.5), w = Tensor::full({4, 4, 3, 3}, 0.1), ones = Tensor::full({4}, 1);
    for (Tensor* t : {&x, &w, &ones}) t->set_requires_grad();
    const Tensor y = conv2d(x, w, ones, {.padding = 1});
    const Tensor z = batch_norm(y, ones, ones, Tensor::zeros({4}), Tensor::full({4}, 1), {.residual = x, .relu = true});
    const Tensor pooled = max_pool2d(z, {}) + avg_pool2d(z, {});
    const Tensor all = sum(sigmoid(pooled) * tanh(pooled) / exp(pooled));
    CHECK(all.requires_grad());
  }
  CHECK(cpu_allocator().stats().allocated == before);
}

TEST_CASE("autograd: a training step asks the system for no memory after the first") {
  Tensor w = Tensor::full({8, 3, 3, 3}, 0.1), gamma = Tensor::full({8}, 1), beta = Tensor::zeros({8});
  const Tensor mean_now = Tensor::zeros({8}), var_now = Tensor::full({8}, 1);
  for (Tensor* t : {&w, &gamma, &beta}) t->set_requires_grad();
  const auto step = [&] {
    const Tensor x = Tensor::full({16, 3, 16, 16}, 0.25);
    const Tensor y = batch_norm(conv2d(x, w, {}, {.padding = 1}), gamma, beta, mean_now, var_now, {.relu = true});
    mean(global_avg_pool2d(y)).backward();
    for (Tensor* t : {&w, &gamma, &beta}) t->set_grad({});
  };
  for (int i = 0; i < 3; ++i) step();
  const std::size_t before = cpu_allocator().stats().system_allocations;
  for (int i = 0; i < 5; ++i) step();
  CHECK(cpu_allocator().stats().system_allocations == before);
}

TEST_CASE("grad_check finds a wrong gradient, a missing one and inputs too coarse to tell") {
  const auto scaled = [](const std::vector<Tensor>& in) {
    return record("scaled", (in[0] * 1.0).detach(), {in[0]},
                  [](const Tensor& dy, Needs) -> Gradients { return {dy * 1.001}; });
  };
  const GradCheckResult result = grad_check(scaled, {leaf({1, 2})});
  CHECK_FALSE(result.ok);
  CHECK(result.worst == doctest::Approx(0.001 / 1.001).epsilon(0.1));
  CHECK(result.message.find("input 0 element") != std::string::npos);
  const auto cut = [](const std::vector<Tensor>& in) { return in[0].detach() * 2 + in[0] * 0.0; };
  CHECK_FALSE(grad_check(cut, {leaf({1, 2})}).ok);
  CHECK_THROWS_AS(grad_check(scaled, {Tensor::full({2}, 1).set_requires_grad()}), Error);  // f32
}
