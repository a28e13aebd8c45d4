// Autocast: which ops take 16 bits, what types come out and back, and that the values are f32's but for bf16's
// rounding.
#include <doctest/doctest.h>

#include <functional>
#include <thread>

#include "engine/autograd/autocast.h"
#include "engine/ops/conv.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/matmul.h"
#include "engine/ops/norm.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "engine/ops/softmax.h"
#include "tests/error_of.h"
#include "tests/ops/cases.h"

using namespace engine;
using namespace engine::test;

namespace {

using Function = std::function<Tensor(const std::vector<Tensor>&)>;

// Random inputs of these shapes in [-1, 1), equal for every call.
std::vector<Tensor> inputs_of(const std::vector<Shape>& shapes, DType dtype = DType::f32) {
  Case c{"autocast", {}, {}, 0};
  for (const Shape& shape : shapes) c.inputs.push_back({shape});
  return make_inputs(c, dtype);
}

struct Outcome {
  Tensor y;
  std::vector<Tensor> gradients;
};

// Forward under Autocast(precision), backward of ones.
Outcome outcome(const Function& f, std::vector<Tensor> inputs, DType precision) {
  for (Tensor& x : inputs) x.set_requires_grad();
  Outcome out;
  {
    const Autocast autocast(precision);
    out.y = f(inputs);
  }
  out.y.backward(Tensor::full(out.y.shape(), 1, {.dtype = out.y.dtype()}));
  for (const Tensor& x : inputs) out.gradients.push_back(x.grad());
  return out;
}

double largest(const Tensor& x) {
  double most = 0;
  for (const double value : x.to<double>()) most = std::max(most, std::abs(value));
  return most;
}

double relative(const Tensor& a, const Tensor& b) {
  return largest(cast(a, DType::f32) - cast(b, DType::f32)) / std::max(1e-3, largest(b));
}

struct Row {
  const char* name;
  std::vector<Shape> shapes;
  Function f;
  DType gives;
};

const std::vector<Row> rows = {
    {"conv2d",
     {{2, 3, 5, 5}, {4, 3, 3, 3}},
     [](auto& in) { return conv2d(in[0], in[1], {}, {.padding = 1}); },
     DType::bf16},
    {"conv2d bias",
     {{2, 3, 5, 5}, {4, 3, 3, 3}, {4}},
     [](auto& in) { return conv2d(in[0], in[1], in[2]); },
     DType::bf16},
    {"linear", {{3, 5}, {4, 5}, {4}}, [](auto& in) { return linear(in[0], in[1], in[2]); }, DType::bf16},
    {"matmul", {{3, 5}, {5, 4}}, [](auto& in) { return matmul(in[0], in[1]); }, DType::bf16},
    {"matmul batched", {{2, 3, 5}, {2, 5, 4}}, [](auto& in) { return matmul(in[0], in[1]); }, DType::bf16},
    {"relu keeps", {{3, 5}, {4, 5}}, [](auto& in) { return relu(linear(in[0], in[1])); }, DType::bf16},
    {"sum of products keeps",
     {{3, 5}, {4, 5}},
     [](auto& in) {
       const Tensor y = linear(in[0], in[1]);
       return y + y * y;
     },
     DType::bf16},
    {"pooling keeps",
     {{2, 3, 4, 4}, {4, 3, 1, 1}},
     [](auto& in) { return avg_pool2d(conv2d(in[0], in[1]), {}); },
     DType::bf16},
    {"softmax", {{3, 5}, {4, 5}}, [](auto& in) { return softmax(linear(in[0], in[1]), 1); }, DType::f32},
    {"log_softmax", {{3, 5}, {4, 5}}, [](auto& in) { return log_softmax(linear(in[0], in[1]), 0); }, DType::f32},
    {"exp", {{3, 5}, {4, 5}}, [](auto& in) { return exp(linear(in[0], in[1])); }, DType::f32},
    {"softplus", {{3, 5}, {4, 5}}, [](auto& in) { return softplus(linear(in[0], in[1])); }, DType::f32},
    {"sum", {{3, 5}, {4, 5}}, [](auto& in) { return sum(linear(in[0], in[1])); }, DType::f32},
    {"l2_normalize", {{3, 5}, {4, 5}}, [](auto& in) { return l2_normalize(linear(in[0], in[1])); }, DType::f32},
    {"cross_entropy",
     {{3, 5}, {4, 5}},
     [](auto& in) {
       return cross_entropy(linear(in[0], in[1]), Tensor::from<int64_t>({0, 3, 1}, {3}));
     },
     DType::f32},
    {"soft cross_entropy",
     {{3, 5}, {4, 5}},
     [](auto& in) {
       const Tensor logits = linear(in[0], in[1]);
       return cross_entropy(logits, softmax(logits, 1));
     },
     DType::f32},
    {"kl_div",
     {{3, 5}, {4, 5}},
     [](auto& in) {
       const Tensor y = linear(in[0], in[1]);
       return kl_div(log_softmax(y, 1), softmax(y * 0.5, 1));
     },
     DType::f32},
    {"bce_with_logits",
     {{3, 5}, {4, 5}},
     [](auto& in) {
       const Tensor y = linear(in[0], in[1]);
       return bce_with_logits(y, sigmoid(y));
     },
     DType::f32},
};

}  // namespace

TEST_CASE("autocast: products give bf16, sums and losses f32, gradients the type of their own input") {
  for (const Row& row : rows) {
    const Outcome mixed = outcome(row.f, inputs_of(row.shapes), DType::bf16);
    const Outcome full = outcome(row.f, inputs_of(row.shapes), DType::f32);
    CHECK_MESSAGE(mixed.y.dtype() == row.gives, row.name, ": ", mixed.y.str());
    // The input and each intermediate result are rounded once, by 2^-9 of their value at most; a few such roundings,
    // carried through a sum of terms of both signs.
    CHECK_MESSAGE(relative(mixed.y, full.y) < 4 * 0x1p-8, row.name, ": ", relative(mixed.y, full.y));
    CHECK_MESSAGE(relative(mixed.y, full.y) > 0, row.name, ": nothing was rounded");
    for (std::size_t i = 0; i < mixed.gradients.size(); ++i) {
      CHECK_MESSAGE(mixed.gradients[i].dtype() == DType::f32, row.name, ": input ", i);
      const double error = relative(mixed.gradients[i], full.gradients[i]);
      CHECK_MESSAGE(error < 4 * 0x1p-8, row.name, ": gradient of input ", i, " is off by ", error);
    }
  }
}

TEST_CASE("autocast: batch_norm takes bf16 and keeps its parameters, statistics and their gradients in f32") {
  const auto f = [](const std::vector<Tensor>& in) {
    const Tensor y = conv2d(in[0], in[1], {}, {.padding = 1});
    const Tensor mean = Tensor::zeros({4}), var = Tensor::full({4}, 1);
    const Tensor z = batch_norm(y, in[2], in[3], mean, var, {.residual = y, .relu = true});
    CHECK(mean.dtype() == DType::f32);
    CHECK(largest(mean) > 0);
    return z;
  };
  const std::vector<Shape> shapes = {{3, 3, 5, 5}, {4, 3, 3, 3}, {4}, {4}};
  const Outcome mixed = outcome(f, inputs_of(shapes), DType::bf16), full = outcome(f, inputs_of(shapes), DType::f32);
  CHECK(mixed.y.dtype() == DType::bf16);
  CHECK(relative(mixed.y, full.y) < 4 * 0x1p-8);
  for (std::size_t i = 0; i < shapes.size(); ++i) CHECK(mixed.gradients[i].dtype() == DType::f32);
  // The ReLU's mask flips where a rounding crosses zero, so only the sums that gather few such places are compared.
  CHECK(relative(mixed.gradients[3], full.gradients[3]) < 0.1);

  const Tensor x = cast(inputs_of({{2, 4, 3, 3}})[0], DType::bf16);
  const Tensor ones = Tensor::full({4}, 1), zeros = Tensor::zeros({4});
  CHECK(contains(error_of([&] { batch_norm(x, ones, zeros, zeros, ones, {.residual = cast(x, DType::f32)}); }),
                 "input is bf16, residual is f32"));
}

TEST_CASE("autocast: a weight stays f32 outside of the guard too, and its gradient is summed in f32") {
  // 4,096 products of 1: bf16 would stop counting at 256.
  Tensor x = Tensor::full({64, 1, 8, 8}, 1, {.dtype = DType::bf16}), w = Tensor::full({1, 1, 1, 1}, 1);
  w.set_requires_grad();
  const Tensor y = conv2d(x, w);
  CHECK(y.dtype() == DType::bf16);
  y.backward(Tensor::full(y.shape(), 1, {.dtype = DType::bf16}));
  CHECK(w.grad().dtype() == DType::f32);
  CHECK(w.grad().item() == 4096);

  Tensor rows = Tensor::full({4096, 1}, 1, {.dtype = DType::bf16}), v = Tensor::full({1, 1}, 1);
  Tensor b = Tensor::zeros({1});
  v.set_requires_grad();
  b.set_requires_grad();
  linear(rows, v, b).backward(Tensor::full({4096, 1}, 1, {.dtype = DType::bf16}));
  CHECK(v.grad().item() == 4096);
  CHECK(b.grad().item() == 4096);
}

TEST_CASE("autocast: backward inside of the guard gives the same as outside") {
  const auto gradient = [](bool inside) {
    std::vector<Tensor> in = inputs_of({{3, 5}, {4, 5}});
    for (Tensor& x : in) x.set_requires_grad();
    Tensor loss;
    {
      const Autocast autocast(DType::bf16);
      const Tensor y = linear(in[0], in[1]);
      loss = sum(y * y);
      if (inside) loss.backward();
    }
    if (!inside) loss.backward();
    return in[1].grad().to<float>();
  };
  CHECK(gradient(true) == gradient(false));
}

TEST_CASE("autocast: guards nest, belong to their thread, leave f64 alone and refuse f16") {
  CHECK_FALSE(autocast_enabled());
  {
    const Autocast outer(DType::bf16);
    CHECK(autocast_dtype() == DType::bf16);
    bool elsewhere = true;
    std::thread([&] { elsewhere = autocast_enabled(); }).join();
    CHECK_FALSE(elsewhere);
    const std::vector<Tensor> wide = inputs_of({{3, 5}, {5, 4}}, DType::f64);
    CHECK(matmul(wide[0], wide[1]).dtype() == DType::f64);
    const std::vector<Tensor> in = inputs_of({{3, 5}, {5, 4}});
    {
      const Autocast inner(DType::f32);
      CHECK(matmul(in[0], in[1]).dtype() == DType::f32);
    }
    CHECK(matmul(in[0], in[1]).dtype() == DType::bf16);
  }
  CHECK_FALSE(autocast_enabled());
  CHECK(contains(error_of([] { Autocast(DType::f16); }), "got f16"));
  const std::vector<Tensor> in = inputs_of({{3, 5}, {5, 4}});
  CHECK(contains(error_of([&] { matmul(in[0], cast(in[1], DType::bf16)); }), "dtypes differ: f32 and bf16"));
}
