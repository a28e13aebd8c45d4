// Winograd convolutions in batch_lanes against the direct f64 sum, over random sizes.
#include "engine/cpu/lanes/winograd.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/parallel.h"
#include "engine/core/random.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"

using namespace engine;
using namespace engine::cpu;

namespace {

constexpr Conv2dOptions same_padding{.stride = 1, .padding = 1};

Tensor random_tensor(const Shape& shape, Generator& random) {
  Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

Tensor lanes_of(const Tensor& x, DType dtype = DType::f32) {
  return contiguous(cast(x, dtype), MemoryFormat::batch_lanes);
}
Tensor in_double(const Tensor& x) { return cast(contiguous(x), DType::f64); }

double largest(const std::vector<double>& values) {
  double most = 0;
  for (double v : values) most = std::max(most, std::abs(v));
  return most;
}

// The largest difference as a share of the largest value that was wanted.
double distance(const Tensor& got, const Tensor& wanted) {
  REQUIRE(got.shape() == wanted.shape());
  const auto a = got.to<double>(), b = wanted.to<double>();
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst / std::max(largest(b), 1e-30);
}

// Padding lanes of a batch_lanes tensor are zero.
bool padding_is_zero(const Tensor& x) {
  const Tensor groups = x.groups();
  const int64_t rest = x.size(0) % 16, group = groups.numel() / groups.size(0);
  if (rest == 0) return true;
  const auto values = groups.to<float>();
  for (int64_t i = (groups.size(0) - 1) * group; i < groups.numel(); ++i)
    if (i % 16 >= rest && values[i] != 0) return false;
  return true;
}

struct Problem {
  int64_t n, c, k, h, w;
};

// Any size within the limits whose direct sum takes milliseconds.
Problem random_problem(Generator& random) {
  auto upto = [&](uint64_t most) { return static_cast<int64_t>(1 + random.below(most)); };
  for (;;) {
    const Problem p{upto(33), upto(100), upto(100), upto(33), upto(33)};
    if (p.n * p.c * p.k * p.h * p.w < 2'000'000) return p;
  }
}

// Winograd's transforms add and multiply by up to 8, twice: some ten times the rounding error of a direct f32 sum.
constexpr double f32_tolerance = 3e-5;
// Each value is rounded to 8 bits: half of 2^-8 on the way in (averaging out) and once more on the way out.
constexpr double bf16_tolerance = 1.0 / 128;

}  // namespace

TEST_CASE("lanes: Winograd's three directions agree with the direct sum in double") {
  const uint64_t seed = 20;
  MESSAGE("seed " << seed);
  Generator random(seed);
  const ConvKernels& exact = kernels(Device{}).conv;
  for (int i = 0; i < 40; ++i) {
    // The second sums over images with channels in their place.
    const Problem p = i == 0 ? Problem{1, 1, 1, 1, 1} : i == 1 ? Problem{35, 40, 30, 7, 5} : random_problem(random);
    const std::string problem = fmt::format("{} images, {} to {} channels, {} x {}", p.n, p.c, p.k, p.h, p.w);
    CAPTURE(problem);
    const Tensor x = random_tensor({p.n, p.c, p.h, p.w}, random), w = random_tensor({p.k, p.c, 3, 3}, random),
                 dy = random_tensor({p.n, p.k, p.h, p.w}, random);
    for (DType dtype : {DType::f32, DType::bf16}) {
      const double tolerance = dtype == DType::f32 ? f32_tolerance : bf16_tolerance;
      const Tensor lx = lanes_of(x, dtype), ldy = lanes_of(dy, dtype);
      const Tensor x64 = in_double(lx), dy64 = in_double(ldy), w64 = in_double(w);
      const Tensor y = lanes::winograd_forward(lx, w);
      CHECK(distance(y, exact.forward(x64, w64, {}, dy.shape(), same_padding)) < tolerance);
      CHECK(padding_is_zero(y));
      const Tensor dx = lanes::winograd_backward_input(ldy, w);
      CHECK(distance(dx, exact.backward_input(dy64, w64, x.shape(), same_padding, {})) < tolerance);
      CHECK(padding_is_zero(dx));
      CHECK(distance(lanes::winograd_backward_weight(ldy, lx),
                     exact.backward_weight(dy64, x64, w.shape(), same_padding, nullptr)) < f32_tolerance);
    }
  }
}

TEST_CASE("lanes: a convolution's moments are those of its result, far from zero too") {
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

TEST_CASE("lanes: the number of threads changes sums over the batch by rounding only, all else not at all") {
  Generator random(4);
  const Tensor x = lanes_of(random_tensor({40, 6, 10, 10}, random)), w = random_tensor({9, 6, 3, 3}, random),
               dy = lanes_of(random_tensor({40, 9, 10, 10}, random));
  const int before = num_threads();
  auto run = [&](int threads) {
    set_num_threads(threads);
    ChannelMoments moments;
    const Tensor y = lanes::winograd_forward(x, w, &moments);
    return std::vector<Tensor>{y, moments.variance, lanes::winograd_backward_input(dy, w),
                               lanes::winograd_backward_weight(dy, x)};
  };
  const std::vector<Tensor> one = run(1), three = run(3);
  set_num_threads(before);
  for (int i = 0; i < 3; ++i) CHECK(one[i].to<float>() == three[i].to<float>());
  CHECK(distance(one[3], three[3]) < 1e-6);
}

TEST_CASE("lanes: gradients of a shared input are added in place, by either algorithm") {
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
    CHECK(padding_is_zero(sum));
    CHECK(distance(sum, before + alone) < 1e-6);
  }
}
