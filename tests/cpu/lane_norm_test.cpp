// Batch normalisation and pooling in batch_lanes, against the same ops in channels_last.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/cpu/lanes/norm_kernels.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/norm.h"
#include "engine/ops/pool.h"
#include "tests/cpu/lanes.h"

using namespace engine;
using namespace lanes_test;

namespace {

const Shape shapes[] = {{2, 1, 1, 1},   {1, 3, 2, 5},   {3, 5, 1, 7},  {8, 16, 8, 8},  {15, 2, 3, 3},
                        {16, 17, 5, 4}, {17, 24, 4, 4}, {32, 3, 9, 1}, {33, 6, 32, 32}};

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to<double>(), y = b.to<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double d = std::abs(x[i] - y[i]) / std::max(1.0, std::abs(y[i]));
    worst = d <= worst ? worst : std::isnan(d) ? INFINITY : d;
  }
  return worst;
}

struct NormCase {
  Shape shape;
  DType dtype = DType::f32;
  bool training = true, relu = false, residual = false;
  double offset = 0;  // of x: the channels' mean over their standard deviation
};

struct NormResult {
  Tensor y, dx, dweight, dbias, dresidual, running_mean, running_var;
};

NormResult run(const NormCase& c, MemoryFormat format) {
  const Shape channels{c.shape[1]};
  const auto input = [&](uint64_t stream, double offset) {
    return contiguous(cast(normal(c.shape, stream) + offset, c.dtype), format).set_requires_grad();
  };
  const Tensor x = input(1, c.offset), residual = c.residual ? input(2, 0) : Tensor();
  Tensor weight = normal(channels, 3), bias = normal(channels, 4);
  weight.set_requires_grad();
  bias.set_requires_grad();
  const Tensor mean = normal(channels, 5), variance = abs(normal(channels, 6)) + 0.5;
  const Tensor y =
      batch_norm(x, weight, bias, mean, variance, {.training = c.training, .residual = residual, .relu = c.relu});
  y.backward(contiguous(normal(c.shape, 7, c.dtype), format));
  return {y, x.grad(), weight.grad(), bias.grad(), c.residual ? residual.grad() : Tensor(), mean, variance};
}

}  // namespace

// f32: sums of up to 34,000 terms in another order, and a division by a standard deviation found with them.
// bf16: the same, and one rounding to 8 bits at the end; the channels_last path rounds the same sums in double.
TEST_CASE("batch_lanes: batch_norm equals that in channels_last, forward and backward") {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : shapes)
      for (const bool training : {true, false})
        for (const bool relu : {false, true})
          for (const bool residual : {false, true}) {
            const NormCase c{shape, dtype, training, relu, residual};
            CAPTURE(shape.str());
            CAPTURE(name(dtype));
            CAPTURE(training);
            CAPTURE(relu);
            CAPTURE(residual);
            const NormResult got = run(c, MemoryFormat::batch_lanes), wanted = run(c, MemoryFormat::channels_last);
            const double tolerance = dtype == DType::f32 ? 2e-4 : 1e-2;
            check_padding(got.y, "y");
            check_padding(got.dx, "dx");
            CHECK(largest_difference(got.y, wanted.y) < tolerance);
            CHECK(largest_difference(got.dx, wanted.dx) < tolerance);
            CHECK(largest_difference(got.dweight, wanted.dweight) < 1e-3);
            CHECK(largest_difference(got.dbias, wanted.dbias) < 1e-3);
            CHECK(largest_difference(got.running_mean, wanted.running_mean) < 1e-6);
            CHECK(largest_difference(got.running_var, wanted.running_var) < 1e-5);
            if (!residual) continue;
            check_padding(got.dresidual, "dresidual");
            CHECK(largest_difference(got.dresidual, wanted.dresidual) == 0);
          }
}

// At a mean of 1,000 standard deviations f32 keeps 4 digits of x - mean; the variance must not lose more than that.
TEST_CASE("batch_lanes: statistics of a channel far from zero") {
  const Shape shape{33, 3, 8, 8};
  const Tensor x = normal(shape, 1) + 1000.0;
  Tensor mean = Tensor::zeros({3}), variance = Tensor::zeros({3});
  batch_norm(in_lanes(x), Tensor::full({3}, 1), Tensor::zeros({3}), mean, variance, {.momentum = 1});
  const std::vector<double> values = x.to<double>();
  for (int64_t c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    const int64_t n = 33 * 64;
    const auto each = [&](auto&& f) {
      for (int64_t i = 0; i < 33; ++i)
        for (int64_t p = 0; p < 64; ++p) f(values[static_cast<std::size_t>((i * 3 + c) * 64 + p)]);
    };
    each([&](double v) { sum += v; });
    each([&](double v) { squares += (v - sum / n) * (v - sum / n); });
    CHECK(std::abs(mean.to<double>()[c] - sum / n) < 1e-4);
    CHECK(std::abs(variance.to<double>()[c] / (squares / (n - 1)) - 1) < 1e-5);
  }
}

TEST_CASE("batch_lanes: batch_norm gives the same bits with any number of threads") {
  const NormCase c{.shape = {40, 24, 16, 16}, .relu = true, .residual = true};
  const int threads = num_threads();
  set_num_threads(1);
  const NormResult one = run(c, MemoryFormat::batch_lanes);
  set_num_threads(3);
  const NormResult three = run(c, MemoryFormat::batch_lanes);
  set_num_threads(threads);
  CHECK(one.y.to<float>() == three.y.to<float>());
  CHECK(one.dx.to<float>() == three.dx.to<float>());
  CHECK(one.dweight.to<float>() == three.dweight.to<float>());
  CHECK(one.dbias.to<float>() == three.dbias.to<float>());
}

// Against the first set, the baseline's: only the fused multiply-adds of the others round differently.
TEST_CASE("batch_lanes: norm kernels of every instruction set") {
  const int64_t pixels = 21, n = pixels * 16;
  const Tensor x = normal({n}, 1), y = normal({n}, 2), dy = normal({n}, 3);
  const cpu::LaneNormFunctions<float>& plain = cpu::lane_norm_kernels_per_isa[cpu::Isa::baseline].f32;
  cpu::lane_norm_kernels_per_isa.for_each([&](const cpu::LaneNormKernels& kernels) {
    CAPTURE(kernels.isa);
    using Gate = cpu::LaneGate<float>;
    for (const auto kind : {Gate::open, Gate::by_output, Gate::by_input})
      for (const int images : {1, 6, 16}) {
        const auto results = [&](const cpu::LaneNormFunctions<float>& f) {
          const Tensor out = Tensor::zeros({4 * 16 + 3 * n});
          float* p = out.data<float>();
          const bool masked = kind != Gate::open;
          const float *px = x.data<float>(), *py = masked ? y.data<float>() : nullptr, *pdy = dy.data<float>();
          const Gate gate{.kind = kind, .y = py, .scale = 1.5f, .shift = -0.5f};
          f.sums(px, 0.5f, pixels, p, p + 16);
          f.backward_sums(px, gate, pdy, 0.25f, pixels, p + 64 + 2 * n, p + 32, p + 48);
          f.normalize(px, 1.5f, -0.5f, py, masked, images, pixels, p + 64);
          f.backward_input(px, gate, pdy, 1.5f, 0.25f, 0.125f, images, pixels, p + 64 + n);
          return out;
        };
        CHECK(largest_difference(results(kernels.f32), results(plain)) < 1e-5);
      }
  });
}

TEST_CASE("batch_lanes: global average pooling and its gradient") {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : shapes) {
      const auto run = [&](MemoryFormat format) {
        Tensor x = contiguous(normal(shape, 1, dtype), format).set_requires_grad();
        const Tensor y = global_avg_pool2d(x);
        CHECK(y.is_contiguous());
        y.backward(normal({shape[0], shape[1]}, 2, dtype));
        return std::pair(y, x.grad());
      };
      const auto [y, dx] = run(MemoryFormat::batch_lanes);
      const auto [wanted_y, wanted_dx] = run(MemoryFormat::channels_last);
      check_padding(dx, "dx");
      const double tolerance = dtype == DType::f32 ? 1e-6 : 5e-3;  // one rounding to 8 bits may go the other way
      CHECK(largest_difference(y, wanted_y) < tolerance);
      CHECK(largest_difference(dx, wanted_dx) < tolerance);
    }
}

TEST_CASE("batch_lanes: subsample2d moves values, exactly") {
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const Shape& shape : shapes)
      for (const int64_t stride : {1, 2, 3}) {
        const SubsampleOptions options{.stride = stride, .channels_before = 2, .channels_after = 1};
        const auto run = [&](MemoryFormat format) {
          Tensor x = contiguous(normal(shape, 1, dtype), format).set_requires_grad();
          const Tensor y = subsample2d(x, options);
          y.backward(contiguous(normal(y.shape(), 2, dtype), format));
          return std::pair(y, x.grad());
        };
        const auto [y, dx] = run(MemoryFormat::batch_lanes);
        const auto [wanted_y, wanted_dx] = run(MemoryFormat::channels_last);
        check_padding(y, "y");
        check_padding(dx, "dx");
        CHECK(y.to<float>() == wanted_y.to<float>());
        CHECK(dx.to<float>() == wanted_dx.to<float>());
      }
}

TEST_CASE("batch_lanes: other pools convert, by name") {
  const Tensor x = normal({5, 3, 6, 6}, 1);
  profile::reset();
  profile::enable(true);
  const Tensor y = max_pool2d(in_lanes(x), {});
  profile::enable(false);
  bool named = false;
  for (const profile::Row& row : profile::rows()) named = named || row.name == "convert batch_lanes -> channels_last";
  profile::reset();
  CHECK(named);
  CHECK(y.to<float>() == max_pool2d(x, {}).to<float>());
}

TEST_CASE("batch_lanes: types without kernels are refused by batch_norm and the pools") {
  const Tensor x = in_lanes(normal({5, 3, 4, 4}, 1, DType::f16));
  const Tensor ones = Tensor::full({3}, 1), zeros = Tensor::zeros({3});
  CHECK_THROWS_WITH_AS(batch_norm(x, ones, zeros, clone(zeros), clone(ones), {}),
                       "[batch_norm] batch_lanes has kernels for f32 and bf16, not for f16 (5, 3, 4, 4) batch_lanes on "
                       "cpu: use contiguous()",
                       Error);
  CHECK_THROWS_AS(global_avg_pool2d(x), Error);
  CHECK_THROWS_AS(subsample2d(x, {.stride = 2}), Error);
}
