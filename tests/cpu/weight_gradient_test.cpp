#include "engine/cpu/weight_gradient.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "engine/core/parallel.h"
#include "engine/core/random.h"
#include "engine/cpu/weight_gradient_kernels.h"
#include "engine/kernels/select.h"
#include "engine/ops/shape_ops.h"
#include "tests/seed.h"

using namespace engine;

namespace {

// Sums of up to 10,000 products below 1, of blocks of some hundreds: roundings of partial sums that stay below 100.
constexpr double tolerance = 1e-4;

Tensor random_images(const Shape& shape, Generator& random) {
  Tensor x = Tensor::empty(shape, {.format = MemoryFormat::channels_last});
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.uniform(-1, 1);
  return x;
}

double worst_difference(const Tensor& got, const Tensor& wanted) {
  double worst = 0;
  for (int64_t i = 0; i < got.numel(); ++i) {
    const double d = std::abs(got.data<float>()[i] - wanted.data<double>()[i]);
    if (std::isnan(d)) return INFINITY;
    worst = std::max(worst, d);
  }
  return worst;
}

struct Problem {
  Shape x, w, y;
  Conv2dOptions options;
};

Problem random_problem(Generator& random) {
  const auto between = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random.below(static_cast<uint64_t>(high - low + 1)));
  };
  Problem p;
  p.x = {between(1, 9), between(1, 100), between(1, 33), between(1, 33)};
  p.w = {between(1, 100), p.x[1], between(1, 4), between(1, 4)};
  p.options = {.stride = {between(1, 3), between(1, 3)},
               .padding = {between(0, 3), between(0, 3)},
               .dilation = {between(1, 2), between(1, 2)}};
  if (between(0, 2) == 0) {  // the plain cases that networks have most of
    const int64_t kernel = between(0, 1) ? 3 : 1, stride = between(1, 2);
    p.w = {p.w[0], p.x[1], kernel, kernel};
    p.options = {.stride = stride, .padding = kernel / 2};
  }
  const auto out = [](int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
    const int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  };
  const Conv2dOptions& o = p.options;
  p.y = {p.x[0], p.w[0], out(p.x[2], p.w[2], o.stride.h, o.padding.h, o.dilation.h),
         out(p.x[3], p.w[3], o.stride.w, o.padding.w, o.dilation.w)};
  return p;
}

}  // namespace

TEST_CASE("weight gradient: random problems against the direct sum in f64") {
  Generator random(test::test_seed(20));
  for (int i = 0, draws = test::test_draws(60); i < draws; ++i) {
    Problem p = random_problem(random);
    if (p.y.numel() == 0) continue;
    const Tensor x = random_images(p.x, random), dy = random_images(p.y, random);
    const Tensor wanted =
        kernels(x).conv.backward_weight(cast(dy, DType::f64), cast(x, DType::f64), p.w, p.options, nullptr);
    const Tensor dw = cpu::weight_gradient(dy, x, p.w, p.options);
    const double worst = worst_difference(dw, wanted);
    CHECK_MESSAGE(worst < tolerance, "problem " << i << ": x " << fmt::format("{}", p.x) << " w "
                                                << fmt::format("{}", p.w) << " is off by " << worst);
  }
}

TEST_CASE("weight gradient: rows that lie in the padding alone") {
  Generator random(5);
  const Shape w{20, 17, 1, 1};
  const Conv2dOptions options{.padding = 2};
  const Tensor x = random_images({2, 17, 1, 300}, random), dy = random_images({2, 20, 5, 304}, random);
  const Tensor wanted = kernels(x).conv.backward_weight(cast(dy, DType::f64), cast(x, DType::f64), w, options, nullptr);
  CHECK(worst_difference(cpu::weight_gradient(dy, x, w, options), wanted) < tolerance);
}

TEST_CASE("weight gradient: many chunks, and the same bits on any number of threads") {
  Generator random(3);
  const int threads = num_threads();
  for (const Conv2dOptions& options : {Conv2dOptions{.padding = 1}, Conv2dOptions{.stride = 2, .padding = 1}}) {
    const Tensor x = random_images({3, 130, 40, 56}, random);
    const Shape w{70, 130, 3, 3}, y{3, 70, 40 / options.stride.h, 56 / options.stride.w};
    const Tensor dy = random_images(y, random);
    set_num_threads(1);
    const std::vector<float> one = cpu::weight_gradient(dy, x, w, options).to<float>();
    for (const int n : {2, 3, 7}) {
      set_num_threads(n);
      CHECK(cpu::weight_gradient(dy, x, w, options).to<float>() == one);
    }
    set_num_threads(threads);
    const Tensor wanted =
        kernels(x).conv.backward_weight(cast(dy, DType::f64), cast(x, DType::f64), w, options, nullptr);
    CHECK(worst_difference(Tensor::from(one, w), wanted) < tolerance);
  }
}

TEST_CASE("weight gradient kernels: packing and tiles, on every instruction set") {
  cpu::weight_gradient_kernels_per_isa.for_each([](const cpu::WeightGradientKernels& k) {
    CAPTURE(k.isa);
    Generator random(7);
    const int64_t all = k.filters + k.channels + 1, pixels = 5, step = 2 * all;
    const Tensor x = Tensor::empty({pixels, step});
    for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.uniform(-1, 1);
    const auto packed = [&](int64_t width, auto pack) {
      const int64_t panels = (all + width - 1) / width, panel = (pixels * width + 15) / 16 * 16;
      const Tensor out = Tensor::zeros({panels, panel});
      pack(x.data<float>(), cpu::PixelRow{pixels, step, all}, panel, out.data<float>());
      for (int64_t p = 0; p < panels; ++p)
        for (int64_t i = 0; i < pixels; ++i)
          for (int64_t c = 0; c < width; ++c)
            CHECK(out.data<float>()[p * panel + i * width + c] ==
                  (p * width + c < all ? x.data<float>()[i * step + p * width + c] : 0.0f));
      return out;
    };
    const Tensor dy = packed(k.filters, k.pack_filters), values = packed(k.channels, k.pack_channels);
    Tensor tile = Tensor::full({k.channels, k.filters}, 1);
    // Pixels 0 and 1 of dy with 0 and 2 of x, then 2 and 3 with 2 and 4: two rows of two columns.
    k.accumulate({.images = 1,
                  .rows = 2,
                  .columns = 2,
                  .dy_image = 0,
                  .dy_row = 2 * k.filters,
                  .x_image = 0,
                  .x_row = 2 * k.channels,
                  .x_column = 2 * k.channels},
                 dy.data<float>(), values.data<float>(), tile.data<float>());
    for (int64_t c = 0; c < k.channels; ++c)
      for (int64_t f = 0; f < k.filters; ++f) {
        double wanted = 1;
        for (const auto& [i, j] : {std::pair{0, 0}, {1, 2}, {2, 2}, {3, 4}})
          wanted += double{x.data<float>()[i * step + f]} * x.data<float>()[j * step + c];
        CHECK(tile.data<float>()[c * k.filters + f] == doctest::Approx(wanted).epsilon(1e-5));
      }
  });
}
