// Each op's refusals: the message begins with the op and names the offending shapes or types.
#include <doctest/doctest.h>

#include <functional>

#include "engine/ops/conv.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/image.h"
#include "engine/ops/index.h"
#include "engine/ops/loss.h"
#include "engine/ops/matmul.h"
#include "engine/ops/norm.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "engine/ops/softmax.h"

using namespace engine;

namespace {

struct Refusal {
  std::string op;
  std::function<void()> call;
  std::vector<std::string> parts;  // what the message must contain
};

Tensor f32(const Shape& shape) { return Tensor::full(shape, 0.5); }
Tensor f64(const Shape& shape) { return Tensor::full(shape, 0.5, {.dtype = DType::f64}); }
Tensor i64(const Shape& shape, double value = 0) { return Tensor::full(shape, value, {.dtype = DType::i64}); }

void expect(const std::vector<Refusal>& rows) {
  for (const Refusal& row : rows) {
    std::string message;
    try {
      row.call();
    } catch (const Error& error) {
      message = error.what();
    }
    CHECK_MESSAGE(message.starts_with("[" + row.op + "]"), row.op, " gave: ", message);
    for (const std::string& part : row.parts)
      CHECK_MESSAGE(message.find(part) != std::string::npos, row.op, ": no '", part, "' in: ", message);
  }
}

}  // namespace

// One row a line.
// clang-format off
TEST_CASE("errors: element-wise ops") {
  const std::pair<const char*, Tensor (*)(const Tensor&, const Tensor&)> binary[] = {
      {"add", operator+}, {"sub", operator-}, {"mul", operator*}, {"div", operator/},
      {"equal", equal}, {"less", less}, {"less_equal", less_equal}};
  for (auto [op, f] : binary)
    expect({{op, [f = f] { f(f32({2, 3}), f32({2, 4})); }, {"(2, 3)", "(2, 4)"}},
            {op, [f = f] { f(f32({2}), f64({2})); }, {"f32", "f64"}}});
  const std::pair<const char*, Tensor (*)(const Tensor&)> unary[] = {
      {"relu", relu}, {"sigmoid", sigmoid}, {"tanh", tanh}, {"exp", exp},
      {"log", log}, {"sqrt", sqrt}, {"abs", abs}, {"softplus", softplus}};
  for (auto [op, f] : unary) expect({{op, [f = f] { f(i64({3})); }, {"floating point", "i64", "cast"}}});
  expect({
      {"pow", [] { pow(i64({3}), 2); }, {"i64"}},
      {"clamp", [] { clamp(i64({3}), {}); }, {"i64"}},
      {"affine", [] { affine(i64({3}), {}); }, {"i64"}},
      {"where", [] { where(f32({3}), f32({3}), f32({3})); }, {"bool", "f32"}},
      {"where", [] { where(less(f32({3}), f32({3})), f32({3}), f32({4})); }, {"(3,)", "(4,)"}},
      {"where", [] { where(less(f32({5}), f32({5})), f32({3}), f32({3})); }, {"(3,)", "(5,)"}},
      {"dropout", [] { dropout(f32({3}), {.p = 1}); }, {"1"}},
      {"dropout", [] { dropout(f32({3}), {.p = -0.1}); }, {"-0.1"}},
      {"add_in_place", [] { add_in_place(f32({3}), f64({3})); }, {"f32", "f64"}},
  });
}

TEST_CASE("errors: convolution, products, normalisation, pooling") {
  const auto norm = [](const Shape& x, const Shape& parameters, const Shape& residual) {
    return [=] {
      const Tensor p = f32(parameters);
      batch_norm(f32(x), p, p, p, p, {.residual = residual.rank() ? f32(residual) : Tensor()});
    };
  };
  expect({
      {"conv2d", [] { conv2d(f32({8, 3, 32, 32}), f32({16, 64, 3, 3})); }, {"(16, 64, 3, 3)", "64", "(8, 3, 32, 32)"}},
      {"conv2d", [] { conv2d(f32({3, 32, 32}), f32({16, 3, 3, 3})); }, {"(3, 32, 32)", "(16, 3, 3, 3)"}},
      {"conv2d", [] { conv2d(f32({1, 3, 2, 2}), f32({4, 3, 3, 3})); }, {"(1, 3, 2, 2)", "(4, 3, 3, 3)"}},
      {"conv2d", [] { conv2d(f32({1, 3, 5, 5}), f64({4, 3, 3, 3})); }, {"f32", "f64"}},
      {"conv2d", [] { conv2d(f32({1, 3, 5, 5}), f32({4, 3, 3, 3}), f32({5})); }, {"(4,)", "(5,)"}},
      {"conv2d", [] { conv2d(f32({1, 3, 5, 5}), f32({4, 3, 3, 3}), f64({4})); }, {"f32", "f64"}},
      {"conv2d", [] { conv2d(f32({1, 4, 5, 5}), f32({5, 2, 3, 3}), {}, {.groups = 2}); }, {"5", "2 groups"}},
      {"conv2d", [] { conv2d(f32({1, 3, 5, 5}), f32({4, 3, 3, 3}), {}, {.stride = 0}); }, {"stride"}},
      {"conv2d", [] { conv2d(f32({1, 3, 5, 5}), f32({4, 3, 3, 3}), {}, {.padding = -1}); }, {"padding"}},
      {"linear", [] { linear(f32({5, 7}), f32({3, 8})); }, {"(5, 7)", "(3, 8)"}},
      {"linear", [] { linear(f32({5, 7}), f32({3, 7}), f32({4})); }, {"(3,)", "(4,)"}},
      {"linear", [] { linear(f32({5, 7}), f64({3, 7})); }, {"f32", "f64"}},
      {"linear", [] { linear(f32({5, 7}), f32({3, 7}), f64({3})); }, {"f32", "f64"}},
      {"matmul", [] { matmul(f32({5, 7}), f32({8, 3})); }, {"(5, 7)", "(8, 3)"}},
      {"matmul", [] { matmul(f32({2, 5, 7}), f32({3, 7, 3})); }, {"(2, 5, 7)", "(3, 7, 3)"}},
      {"matmul", [] { matmul(f32({5, 7}), f32({2, 7, 3})); }, {"(5, 7)", "(2, 7, 3)"}},
      {"matmul", [] { matmul(f32({5, 7}), f64({7, 3})); }, {"f32", "f64"}},
      {"batch_norm", norm({2, 3, 4, 4}, {4}, {}), {"(2, 3, 4, 4)", "(4,)"}},
      {"batch_norm", norm({2, 3, 4}, {3}, {}), {"(2, 3, 4)"}},
      {"batch_norm", norm({1, 3}, {3}, {}), {"(1, 3)", "eval()"}},
      {"batch_norm", norm({2, 3, 4, 4}, {3}, {2, 3, 4, 5}), {"(2, 3, 4, 5)", "(2, 3, 4, 4)"}},
      {"max_pool2d", [] { max_pool2d(f32({3, 4, 4}), {}); }, {"(3, 4, 4)"}},
      {"max_pool2d", [] { max_pool2d(f32({1, 3, 4, 4}), {.kernel = 5}); }, {"5", "(1, 3, 4, 4)"}},
      {"avg_pool2d", [] { avg_pool2d(f32({1, 3, 4, 4}), {.kernel = 2, .padding = 2}); }, {"padding", "(2, 2)"}},
      {"avg_pool2d", [] { avg_pool2d(f32({1, 3, 4, 4}), {.kernel = 2, .stride = -1}); }, {"stride"}},
      {"global_avg_pool2d", [] { global_avg_pool2d(f32({3, 4})); }, {"(3, 4)"}},
      {"subsample2d", [] { subsample2d(f32({3, 4}), {}); }, {"(3, 4)"}},
      {"subsample2d", [] { subsample2d(f32({1, 3, 4, 4}), {.stride = 0}); }, {"0"}},
      {"subsample2d", [] { subsample2d(f32({1, 3, 4, 4}), {.channels_before = -1}); }, {"-1"}},
  });
}

TEST_CASE("errors: shapes") {
  expect({
      {"reshape", [] { reshape(f32({2, 3}), {4, 2}); }, {"(2, 3)", "(4, 2)"}},
      {"reshape", [] { reshape(f32({2, 3}), {4, -1}); }, {"(2, 3)", "(4, -1)"}},
      {"reshape", [] { reshape(f32({2, 3}), {-1, -1}); }, {"(-1, -1)"}},
      {"reshape", [] { reshape(f32({2, 3}), {-2, -3}); }, {"(-2, -3)"}},
      {"flatten", [] { flatten(f32({2, 3}), 2); }, {"2", "(2, 3)"}},
      {"permute", [] { permute(f32({2, 3}), {0, 1, 2}); }, {"(2, 3)"}},
      {"permute", [] { permute(f32({2, 3}), {0, 0}); }, {"twice"}},
      {"permute", [] { permute(f32({2, 3}), {0, 2}); }, {"2", "(2, 3)"}},
      {"transpose", [] { transpose(f32({2, 3}), 0, 2); }, {"2", "(2, 3)"}},
      {"unsqueeze", [] { unsqueeze(f32({2, 3}), 4); }, {"4", "(2, 3)"}},
      {"squeeze", [] { squeeze(f32({2, 3}), 1); }, {"1", "(2, 3)"}},
      {"expand_to", [] { expand_to(f32({2, 3}), {3, 3}); }, {"(2, 3)", "(3, 3)"}},
      {"expand_to", [] { expand_to(f32({2, 3}), {3}); }, {"(2, 3)", "(3,)"}},
      {"slice", [] { slice(f32({5}), {.start = 6}); }, {"6", "(5,)"}},
      {"slice", [] { slice(f32({5}), {.start = 3, .end = 2}); }, {"3", "2", "(5,)"}},
      {"slice", [] { slice(f32({5}), {.step = 0}); }, {"step 0", "(5,)"}},
      {"slice", [] { slice(f32({5}), {.axis = 1}); }, {"1", "(5,)"}},
      {"select", [] { select(f32({5}), 0, 5); }, {"5", "(5,)"}},
      {"select", [] { select(f32({5}), 1, 0); }, {"1", "(5,)"}},
      {"pad", [] { pad(f32({5}), {.before = -1}); }, {"-1"}},
      {"concat", [] { concat({}, 0); }, {"at least one"}},
      {"concat", [] { concat({f32({2, 3}), f32({2, 4})}, 0); }, {"(2, 3)", "(2, 4)"}},
      {"concat", [] { concat({f32({2}), f64({2})}, 0); }, {"f32", "f64"}},
      {"stack", [] { stack({f32({2}), f32({3})}, 0); }, {"(2,)", "(3,)"}},
      {"copy_into", [] { copy_into(f32({2}), f32({3})); }, {"(2,)", "(3,)"}},
  });
}

TEST_CASE("errors: images") {
  const auto u8 = [](const Shape& shape) { return Tensor::zeros(shape, {.dtype = DType::u8}); };
  expect({
      {"augment", [&] { augment(u8({3, 8, 8}), i64({3, 8}), f32({3, 256})); }, {"(3, 8, 8)"}},
      {"augment", [&] { augment(f32({2, 3, 8, 8}), i64({2, 8}), f32({3, 256})); }, {"u8", "f32"}},
      {"augment", [&] { augment(u8({2, 3, 8, 8}), i64({3, 8}), f32({3, 256})); }, {"(2, 8)", "(2, 3, 8, 8)", "(3, 8)"}},
      {"augment", [&] { augment(u8({2, 3, 8, 8}), f32({2, 8}), f32({3, 256})); }, {"i64", "f32"}},
      {"augment", [&] { augment(u8({2, 1, 8, 8}), i64({2, 8}), f32({3, 256})); }, {"(1, 256)", "(3, 256)"}},
      {"augment", [&] { augment(u8({2, 3, 8, 8}), i64({2, 8}), f64({3, 256})); }, {"f32", "f64"}},
  });
}

TEST_CASE("errors: reductions and order") {
  expect({
      {"sum", [] { sum(f32({2, 3}), {.axes = {2}}); }, {"2", "(2, 3)"}},
      {"sum", [] { sum(f32({2, 3}), {.axes = {1, -1}}); }, {"twice"}},
      {"sum", [] { sum(Tensor::zeros({2}, {.dtype = DType::u8})); }, {"u8", "cast"}},
      {"mean", [] { mean(f32({2, 3}), {.axes = {-3}}); }, {"-3", "(2, 3)"}},
      {"max", [] { max(f32({0, 3}), {.axes = {0}}); }, {"(0, 3)"}},
      {"argmax", [] { argmax(f32({3, 0}), 1); }, {"(3, 0)"}},
      {"argmax", [] { argmax(f32({3}), 1); }, {"1", "(3,)"}},
      {"topk", [] { topk(f32({2, 3}), {.k = 4}); }, {"4", "(2, 3)"}},
      {"softmax", [] { softmax(i64({2, 3}), 1); }, {"i64"}},
      {"log_softmax", [] { log_softmax(f32({2, 3}), 2); }, {"2", "(2, 3)"}},
  });
}

TEST_CASE("errors: positions and losses") {
  expect({
      {"gather", [] { gather(f32({2, 3}), 1, f32({2, 1})); }, {"i64", "f32"}},
      {"gather", [] { gather(f32({2, 3}), 1, i64({3, 1})); }, {"(3, 1)", "(2, 3)"}},
      {"gather", [] { gather(f32({2, 3}), 1, i64({2})); }, {"(2,)", "(2, 3)"}},
      {"gather", [] { gather(f32({2, 3}), 1, i64({2, 1}, 3)); }, {"3"}},
      {"gather", [] { gather(f32({2, 3}), 1, i64({2, 1}, -1)); }, {"-1"}},
      {"scatter", [] { scatter(f32({2, 3}), {.axis = 1}, i64({2, 2}), f32({2, 1})); }, {"(2, 2)", "(2, 1)"}},
      {"scatter", [] { scatter(f32({2, 3}), {.axis = 1}, i64({2, 2}), f64({2, 2})); }, {"f32", "f64"}},
      {"scatter", [] { scatter(f32({2, 3}), {.axis = 1}, i64({2, 2}, 3), f32({2, 2})); }, {"3"}},
      {"index_select", [] { index_select(f32({2, 3}), 0, i64({1, 1})); }, {"(1, 1)"}},
      // Positions are checked where they are used: in gather's kernel, which index_select reads through.
      {"gather", [] { index_select(f32({2, 3}), 0, i64({4}, 2)); }, {"2"}},
      {"gather",
       [] { index_select(contiguous(f32({2, 3, 1, 1}), MemoryFormat::batch_lanes), 0, i64({4}, 2)); },
       {"index 2"}},
      {"cross_entropy", [] { cross_entropy(f32({4, 5}), i64({4}, 5)); }, {"label 5", "5 classes"}},
      {"cross_entropy", [] { cross_entropy(f32({4, 5}), i64({4}, -1)); }, {"label -1", "5 classes"}},
      {"index_select", [] { index_select(f32({2, 3}), 0, f32({4})); }, {"i64", "f32"}},
      {"partition", [] { partition(f32({4})); }, {"booleans", "f32"}},
      {"cross_entropy", [] { cross_entropy(f32({4}), i64({4})); }, {"(4,)"}},
      {"cross_entropy", [] { cross_entropy(f32({4, 5}), i64({3})); }, {"(3,)", "(4,)"}},
      {"cross_entropy", [] { cross_entropy(f32({4, 5}), f32({4, 6})); }, {"(4, 6)", "(4, 5)"}},
      {"cross_entropy", [] { cross_entropy(f32({4, 5}), f64({4, 5})); }, {"f32", "f64"}},
      {"cross_entropy", [] { cross_entropy(f32({4, 5}), i64({4}), {.weight = f32({6})}); }, {"(5,)", "(6,)"}},
      {"cross_entropy", [] { ensemble_loss({f32({4, 5}), f32({4, 6})}, i64({4})); }, {"(4, 5)", "(4, 6)"}},
      {"cross_entropy", [] { ensemble_loss({f32({4, 5}), f64({4, 5})}, i64({4})); }, {"f32", "f64"}},
      {"cross_entropy", [] { ensemble_loss({f32({4, 5})}, f32({4})); }, {"i64", "f32"}},
      {"cross_entropy", [] { ensemble_loss({f32({4, 5})}, i64({4}), {.margins = f32({4})}); }, {"margins", "(5,)", "(4,)"}},
      {"cross_entropy", [] { ensemble_loss({f32({4, 5})}, i64({4}), {.temperature = f64({5})}); }, {"temperature", "f64"}},
      {"ensemble_loss", [] { ensemble_loss({}, i64({4})); }, {"0 members", "1 to 32"}},
      {"ensemble_loss", [] { ensemble_loss({f32({4, 5})}, i64({4}), {.reduction = Reduction::none}); }, {"each sample"}},
      {"kl_div", [] { kl_div(f32({4, 5}), f32({4, 6})); }, {"(4, 5)", "(4, 6)"}},
      {"kl_div", [] { kl_div(f32({4, 5}), f64({4, 5})); }, {"f32", "f64"}},
      {"bce_with_logits", [] { bce_with_logits(f32({4, 5}), f32({4, 6})); }, {"(4, 5)", "(4, 6)"}},
      {"bce_with_logits", [] { bce_with_logits(f32({4, 5}), f64({4, 5})); }, {"f32", "f64"}},
  });
}
// clang-format on
