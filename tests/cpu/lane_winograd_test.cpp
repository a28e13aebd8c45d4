// Winograd convolutions in batch_lanes over random sizes, against oneDNN and, where that takes milliseconds, the direct
// sum in f64. The kernels are those of one instruction set: tests/run.sh runs this with each (RIDE_CPU_ISA).
#include "engine/cpu/lanes/winograd.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "engine/core/parallel.h"
#include "engine/core/random.h"
#include "engine/cpu/lanes/conv.h"
#include "engine/cpu/lanes/norm.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "tests/cpu/lanes.h"
#include "tests/distance.h"
#include "tests/seed.h"

using namespace engine;
using namespace engine::cpu;
using lanes_test::check_padding;
using test::relative_distance;

namespace {

constexpr Conv2dOptions same_padding{.stride = 1, .padding = 1};

Tensor random_tensor(const Shape& shape, Generator& random) {
  Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

Tensor lanes_of(const Tensor& x, DType dtype = DType::f32) { return lanes_test::in_lanes(cast(x, dtype)); }

struct Problem {
  int64_t n, c, k, h, w;

  std::string str() const { return fmt::format("{} images, {} to {} channels, {} x {}", n, c, k, h, w); }
  bool small() const { return n * c * k * h * w < 2'000'000; }
};

Problem random_problem(Generator& random) {
  auto upto = [&](uint64_t most) { return static_cast<int64_t>(1 + random.below(most)); };
  return {upto(33), upto(100), upto(100), upto(33), upto(33)};
}

// Winograd's transforms add and multiply by up to 8, twice: some ten times the rounding error of a direct f32 sum.
constexpr double f32_tolerance = 3e-5;
// Each value is rounded to 8 bits: half of 2^-8 on the way in (averaging out) and once more on the way out.
constexpr double bf16_tolerance = 1.0 / 128;

// The three directions in batch_lanes and what they ought to be, by the channels_last kernels of `type`: oneDNN's for
// f32, the direct sum for f64.
struct Directions {
  Tensor y, dx, dw;

  static Directions in_lanes(const Tensor& x, const Tensor& dy, const Tensor& w) {
    return {lanes::winograd_forward(x, w), lanes::winograd_backward_input(dy, w),
            lanes::winograd_backward_weight(dy, x)};
  }
  static Directions wanted(const Tensor& lx, const Tensor& ldy, const Tensor& w, DType type) {
    const ConvKernels& conv = kernels(Device{}).conv;
    const auto as = [&](const Tensor& t) { return cast(contiguous(t, MemoryFormat::channels_last), type); };
    const Tensor x = as(lx), dy = as(ldy), weights = cast(w, type);
    return {conv.forward(x, weights, {}, dy.shape(), same_padding),
            conv.backward_input(dy, weights, x.shape(), same_padding, {}),
            conv.backward_weight(dy, x, w.shape(), same_padding, nullptr)};
  }
};

void check_close(const Directions& got, const Directions& wanted, DType dtype) {
  const double tolerance = dtype == DType::f32 ? f32_tolerance : bf16_tolerance;
  CHECK(relative_distance(got.y, wanted.y) < tolerance);
  CHECK(relative_distance(got.dx, wanted.dx) < tolerance);
  CHECK(relative_distance(got.dw, wanted.dw) < f32_tolerance);
}

// f(1 thread), f(3 threads)
std::pair<std::vector<Tensor>, std::vector<Tensor>> on_one_and_three(const std::function<std::vector<Tensor>()>& f) {
  const int before = num_threads();
  set_num_threads(1);
  const std::vector<Tensor> one = f();
  set_num_threads(3);
  const std::vector<Tensor> three = f();
  set_num_threads(before);
  return {one, three};
}

}  // namespace

TEST_CASE("Winograd in lanes: three directions, any size, against oneDNN and the direct sum in f64") {
  Generator random(test::test_seed(20));
  // The least there is; one that sums over images with channels in their place; the layers of networks, a whole number
  // of groups and not.
  std::vector<Problem> problems = {{1, 1, 1, 1, 1},      {35, 40, 30, 7, 5},  {33, 16, 16, 32, 32},
                                   {32, 64, 64, 32, 31}, {20, 100, 48, 8, 8}, {17, 24, 24, 16, 16}};
  for (int i = test::test_draws(40); i > 0; --i) problems.push_back(random_problem(random));
  for (const Problem& p : problems) {
    const std::string problem = p.str();
    CAPTURE(problem);
    const Tensor x = random_tensor({p.n, p.c, p.h, p.w}, random), w = random_tensor({p.k, p.c, 3, 3}, random),
                 dy = random_tensor({p.n, p.k, p.h, p.w}, random);
    for (DType dtype : {DType::f32, DType::bf16}) {
      const Tensor lx = lanes_of(x, dtype), ldy = lanes_of(dy, dtype);
      const Directions got = Directions::in_lanes(lx, ldy, w);
      check_padding(got.y, problem);
      check_padding(got.dx, problem);
      check_close(got, Directions::wanted(lx, ldy, w, DType::f32), dtype);
      if (p.small()) check_close(got, Directions::wanted(lx, ldy, w, DType::f64), dtype);
    }
  }
}

TEST_CASE("Winograd in lanes: an empty batch has an empty result and no gradient") {
  const Tensor x = lanes_of(Tensor::zeros({0, 16, 8, 8})), dy = lanes_of(Tensor::zeros({0, 24, 8, 8})),
               w = Tensor::full({24, 16, 3, 3}, 1);
  const ConvKernels& conv = kernels(Device{}).conv;
  CHECK(conv.forward(x, w, {}, dy.shape(), same_padding).shape() == dy.shape());
  CHECK(conv.backward_input(dy, w, x.shape(), same_padding, {}).shape() == x.shape());
  CHECK(conv.backward_weight(dy, x, w.shape(), same_padding, nullptr).to<float>() ==
        std::vector<float>(static_cast<std::size_t>(w.numel())));
}

TEST_CASE("Winograd in lanes: a convolution's moments are those of its result, far from zero too") {
  Generator random(3);
  for (const Problem p : {Problem{33, 5, 7, 9, 6}, Problem{16, 16, 16, 32, 32}, Problem{1, 3, 4, 2, 3}}) {
    Tensor x = random_tensor({p.n, p.c, p.h, p.w}, random) + 100.0;
    const Tensor w = random_tensor({p.k, p.c, 3, 3}, random);
    ChannelMoments moments;
    const Tensor y = contiguous(lanes::winograd_forward(lanes_of(x), w, &moments));
    const auto values = y.to<double>(), means = moments.mean.to<double>(), variances = moments.variance.to<double>();
    const int64_t area = p.h * p.w;
    for (int64_t k = 0; k < p.k; ++k) {
      double sum = 0, squares = 0;
      auto each = [&](auto&& f) {
        for (int64_t n = 0; n < p.n; ++n)
          for (int64_t i = 0; i < area; ++i) f(values[(n * p.k + k) * area + i]);
      };
      each([&](double v) { sum += v; });
      const double count = static_cast<double>(p.n * area), mean = sum / count;
      each([&](double v) { squares += (v - mean) * (v - mean); });
      // f32 lane sums of some hundred values
      CHECK(means[k] == doctest::Approx(mean).epsilon(1e-6));
      CHECK(variances[k] == doctest::Approx(squares / count).epsilon(1e-5));
    }
  }
}

TEST_CASE("Winograd in lanes: a normalised input, an epilogue and a gate are those of separate steps") {
  Generator random(test::test_seed(21));
  std::vector<Problem> problems = {{18, 16, 24, 6, 5}, {33, 9, 10, 8, 8}};
  for (int i = test::test_draws(10); i > 0; --i) problems.push_back(random_problem(random));
  for (const Problem& p : problems) {
    const std::string problem = p.str();
    CAPTURE(problem);
    const Tensor w = random_tensor({p.k, p.c, 3, 3}, random), w_before = random_tensor({p.c, p.k, 3, 3}, random);
    for (DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(name(dtype));
      const double tolerance = dtype == DType::f32 ? f32_tolerance : bf16_tolerance;
      const Tensor x = lanes_of(random_tensor({p.n, p.c, p.h, p.w}, random), dtype),
                   dy = lanes_of(random_tensor({p.n, p.k, p.h, p.w}, random), dtype);
      const auto as_channels = [&](const Tensor& v) { return reshape(v, {1, v.numel(), 1, 1}); };
      const auto in_f32 = [&](const Tensor& t) { return cast(contiguous(t), DType::f32); };

      const NormalizedInput input{random_tensor({p.c}, random), random_tensor({p.c}, random)};
      const Tensor normalized = relu(in_f32(x) * as_channels(input.scale) + as_channels(input.shift));
      const Tensor y = lanes::winograd_forward(x, w, nullptr, &input);
      check_padding(y, problem);
      CHECK(relative_distance(y, lanes::winograd_forward(lanes_of(normalized), w)) < tolerance);
      CHECK(relative_distance(lanes::winograd_backward_weight(dy, x, &input),
                              lanes::winograd_backward_weight(lanes_of(in_f32(dy)), lanes_of(normalized))) <
            f32_tolerance);

      ConvEpilogue epilogue{random_tensor({p.k}, random) + 1.0, lanes_of(random_tensor(dy.shape(), random), dtype),
                            true};
      const Tensor plain = in_f32(lanes::winograd_forward(lanes_of(in_f32(x)), w));
      ConstantWeights weights(w);
      const Tensor finished = lanes::winograd_forward_fused(x, weights, epilogue);
      check_padding(finished, problem);
      CHECK(relative_distance(finished, relu(plain + as_channels(epilogue.bias) + in_f32(epilogue.residual))) <
            tolerance);

      // Through batch norm of x: sums of the gated gradient, and the gradient they make.
      const Tensor mean = random_tensor({p.c}, random), inv_std = random_tensor({p.c}, random) * 0.1 + 1.0,
                   weight = random_tensor({p.c}, random);
      const NormalizedInput norm{weight * inv_std, random_tensor({p.c}, random)};
      const BatchNormSaved saved{
          .x = x, .y = {}, .weight = weight, .bias = {}, .mean = mean, .inv_std = inv_std, .relu = true};
      const ConvNormGradients got = lanes::winograd_backward_norm({.g = dy}, w, saved, &norm);
      const Tensor got_dx = lanes::made(got.norm.dx);
      check_padding(got.norm.dx.g, problem);
      check_padding(got_dx, problem);
      const Tensor x32 = in_f32(x), alone = in_f32(lanes::winograd_backward_input(lanes_of(in_f32(dy)), w));
      const Tensor open =
          cast(less(Tensor::scalar(0), x32 * as_channels(norm.scale) + as_channels(norm.shift)), DType::f32);
      const Tensor g = alone * open, centred = (x32 - as_channels(mean)) * as_channels(inv_std);
      const auto over_channel = [&](const Tensor& t) { return sum(t, {.axes = {0, 2, 3}}); };
      const Tensor dbias = over_channel(g), dweight = over_channel(g * centred);
      const double count = static_cast<double>(p.n * p.h * p.w);
      const Tensor dx =
          (g - as_channels(dbias) / count - centred * as_channels(dweight) / count) * as_channels(weight * inv_std);
      // Sums over up to 36,000 products of Winograd's, half of them negative.
      const double of_sums = dtype == DType::f32 ? 1e-4 : 2 * bf16_tolerance;
      CHECK(relative_distance(got.norm.dbias, dbias) < of_sums);
      CHECK(relative_distance(got.norm.dweight, dweight) < of_sums);
      CHECK(relative_distance(got_dx, dx) < of_sums);
      CHECK(got.dw.to<float>() == lanes::winograd_backward_weight(dy, x, &norm).to<float>());

      // The same through a result that lies in memory, and what is added before ReLU lets through: as a gate of its
      // own.
      BatchNormSaved result = saved;
      result.y = lanes_of(random_tensor(x.shape(), random), dtype);
      result.residual = true;
      const Tensor onto = lanes_of(random_tensor(x.shape(), random), dtype);
      const Tensor both = in_f32(lanes::winograd_backward_input(lanes_of(in_f32(dy)), w)) + in_f32(onto),
                   passed = both * cast(less(Tensor::scalar(0), in_f32(result.y)), DType::f32);
      const ConvNormGradients onward = lanes::winograd_backward_norm({.g = dy}, w, result, nullptr, onto);
      check_padding(onward.norm.dx.g, problem);
      CHECK(onward.norm.dx.g.shares_storage(onto));
      CHECK(onward.norm.dresidual.shares_storage(onto));
      CHECK(relative_distance(onward.norm.dx.g, passed) < tolerance);
      CHECK(relative_distance(onward.norm.dbias, over_channel(passed)) < of_sums);
      CHECK(relative_distance(onward.norm.dweight, over_channel(passed * centred)) < of_sums);
      CHECK(onward.dw.to<float>() == lanes::winograd_backward_weight(dy, result.y).to<float>());
    }
  }
}

TEST_CASE("Winograd in lanes: one sweep gives both gradients, of a dy that is made as it is read too") {
  Generator random(test::test_seed(22));
  std::vector<Problem> problems = {{18, 16, 24, 6, 5}, {33, 9, 10, 8, 8}, {16, 48, 48, 8, 8}};
  for (int i = test::test_draws(10); i > 0; --i) problems.push_back(random_problem(random));
  for (const Problem& p : problems) {
    const std::string problem = p.str();
    CAPTURE(problem);
    const Tensor w = random_tensor({p.k, p.c, 3, 3}, random);
    const auto values = [&] { return random_tensor({p.k}, random); };
    for (DType dtype : {DType::f32, DType::bf16}) {
      CAPTURE(name(dtype));
      const Tensor x = lanes_of(random_tensor({p.n, p.c, p.h, p.w}, random), dtype),
                   onto = lanes_of(random_tensor({p.n, p.c, p.h, p.w}, random), dtype);
      LazyGradient dy{.g = lanes_of(random_tensor({p.n, p.k, p.h, p.w}, random), dtype)};
      const auto copy = [](const Tensor& t) { return contiguous(contiguous(t), MemoryFormat::batch_lanes); };
      const ConvGradients plain = lanes::winograd_backward(dy, x, w);
      CHECK(plain.dx.to<float>() == lanes::winograd_backward_input(dy.g, w).to<float>());
      const Tensor room = copy(onto);
      const ConvGradients sum = lanes::winograd_backward(dy, x, w, room);
      CHECK(sum.dx.shares_storage(room));
      CHECK(sum.dx.to<float>() == lanes::winograd_backward_input(dy.g, w, copy(onto)).to<float>());
      CHECK(sum.dw.to<float>() == plain.dw.to<float>());

      dy.x = lanes_of(random_tensor({p.n, p.k, p.h, p.w}, random), dtype);
      dy.a = values(), dy.b = values(), dy.c = values();
      const ConvGradients lazy = lanes::winograd_backward(dy, x, w);
      check_padding(lazy.dx, problem);
      const Tensor g = dy.g, made = lanes::made(dy);  // a new tensor: g is held here too
      check_padding(made, problem);
      const auto as_channels = [&](const Tensor& v) { return reshape(v, {1, v.numel(), 1, 1}); };
      const auto in_f32 = [&](const Tensor& t) { return cast(contiguous(t), DType::f32); };
      CHECK(relative_distance(made, in_f32(g) * as_channels(dy.a) + in_f32(dy.x) * as_channels(dy.b) +
                                        as_channels(dy.c)) < (dtype == DType::f32 ? 1e-6 : bf16_tolerance));
      const ConvGradients wanted = lanes::winograd_backward({.g = made}, x, w);
      // f32: the same numbers but for a rounding. bf16: what is made as it is read isn't rounded.
      const double tolerance = dtype == DType::f32 ? f32_tolerance : bf16_tolerance;
      CHECK(relative_distance(lazy.dx, wanted.dx) < tolerance);
      CHECK(relative_distance(lazy.dw, wanted.dw) < tolerance);
    }
  }
}

TEST_CASE(
    "Winograd in lanes: the number of threads changes the weights' gradient by rounding only, all else not at all") {
  Generator random(4);
  const Tensor x = lanes_of(random_tensor({40, 12, 10, 10}, random)), w = random_tensor({9, 12, 3, 3}, random),
               dy = lanes_of(random_tensor({40, 9, 10, 10}, random));
  const NormalizedInput input{random_tensor({12}, random), random_tensor({12}, random)};
  const BatchNormSaved saved{.x = x,
                             .y = {},
                             .weight = random_tensor({12}, random),
                             .bias = {},
                             .mean = random_tensor({12}, random),
                             .inv_std = Tensor::full({12}, 1.25),
                             .relu = true};
  ConstantWeights weights(w);
  const ConvEpilogue epilogue{random_tensor({9}, random), {}, true};
  const auto [one, three] = on_one_and_three([&] {
    ChannelMoments moments;
    const Tensor y = lanes::winograd_forward(x, w, &moments, &input);
    const ConvNormGradients norm = lanes::winograd_backward_norm({.g = dy}, w, saved, &input);
    return std::vector<Tensor>{y,
                               moments.mean,
                               moments.variance,
                               lanes::winograd_forward_fused(x, weights, epilogue),
                               lanes::winograd_backward_input(dy, w),
                               norm.norm.dx.g,
                               norm.norm.dx.b,
                               norm.norm.dweight,
                               norm.norm.dbias,
                               lanes::winograd_backward_weight(dy, x, &input)};
  });
  const std::size_t last = one.size() - 1;
  for (std::size_t i = 0; i < last; ++i) {
    CAPTURE(i);
    CHECK(one[i].to<float>() == three[i].to<float>());
  }
  CHECK(relative_distance(one[last], three[last]) < 1e-6);
}

TEST_CASE("Winograd and direct sums in lanes: gradients of a shared input are added in place") {
  Generator random(5);
  for (int64_t stride : {1, 2}) {
    const Conv2dOptions options{.stride = stride, .padding = 1};
    const int64_t out = stride == 1 ? 9 : 5;
    const Tensor w = random_tensor({10, 12, 3, 3}, random), before = lanes_of(random_tensor({19, 12, 9, 9}, random)),
                 dy = lanes_of(random_tensor({19, 10, out, out}, random));
    const auto conv = kernels(Device{}).conv;
    const Tensor alone = conv.backward_input(dy, w, before.shape(), options, {});
    Tensor onto = contiguous(before);
    onto = contiguous(onto, MemoryFormat::batch_lanes);
    const Tensor sum = conv.backward_input(dy, w, before.shape(), options, onto);
    CHECK(sum.shares_storage(onto));
    check_padding(sum, "sum");
    CHECK(relative_distance(sum, before + alone) < 1e-6);
  }
}
