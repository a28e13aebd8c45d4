// Batch norm of engine/cuda beside the CPU's.
#include <doctest/doctest.h>

#include <array>
#include <cmath>

#include "engine/cuda/column_shape.h"
#include "engine/cuda/recording.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "tests/distance.h"
#include "tests/emulator/compare.h"

using namespace engine;
using namespace engine::test;

namespace {

// What the three kernels of a device make of one input.
struct Results {
  Tensor mean, variance, y, dx, dweight, dbias, dresidual;
};

struct Inputs {
  Tensor x, residual, dy;  // residual may be undefined
  Tensor weight, bias;
  bool relu = false, batch_statistics = true;
};

Tensor on(const Tensor& x, Device device) { return x.defined() ? x.to(device) : x; }

Results run(const Inputs& in, Device device) {
  const NormKernels& norm = kernels(device).norm;
  const DType dtype = in.x.dtype() == DType::f64 ? DType::f64 : DType::f32;
  const Tensor x = on(in.x, device), residual = on(in.residual, device);
  Results r;
  r.mean = Tensor::empty({x.size(1)}, {.dtype = dtype, .device = device});
  r.variance = empty_like(r.mean);
  norm.statistics(x, r.mean, r.variance);
  // The deviation on the host, so that every device goes on from the same.
  std::vector<double> inv_std = r.variance.to<double>();
  for (double& v : inv_std) v = 1 / std::sqrt(v + 1e-5);
  BatchNormSaved saved;
  saved.x = x;
  saved.weight = on(in.weight, device);
  saved.bias = on(in.bias, device);
  saved.mean = r.mean;
  saved.inv_std = typed(Tensor::from(inv_std, r.mean.shape()), dtype).to(device);
  saved.residual = residual.defined();
  saved.relu = in.relu;
  saved.batch_statistics = in.batch_statistics;
  r.y = empty_like(x);
  norm.normalize(x, r.mean, saved.inv_std, saved.weight, saved.bias, residual, in.relu, r.y);
  if (in.relu) saved.y = r.y;
  const BatchNormGradients g = norm.backward(saved, on(in.dy, device), residual.defined());
  r.dx = g.dx;
  r.dweight = g.dweight;
  r.dbias = g.dbias;
  r.dresidual = g.dresidual;
  return r;
}

Inputs inputs(const Shape& shape, TensorOptions options, bool residual, bool relu) {
  const DType parameter = options.dtype == DType::f64 ? DType::f64 : DType::f32;
  return {.x = pattern(shape, options, 1),
          .residual = residual ? pattern(shape, options, 2) : Tensor(),
          .dy = pattern(shape, options, 3),
          .weight = pattern({shape[1]}, {.dtype = parameter}, 4),
          .bias = pattern({shape[1]}, {.dtype = parameter}, 5),
          .relu = relu};
}

void compare(const Inputs& in) {
  const Results want = run(in, {});
  // Sums of the 16-bit types are f32 on both sides, but a sum in another order may round y and dx to their neighbours.
  const DType dtype = in.x.dtype();
  const double stored = dtype == DType::f64 ? 1e-12 : dtype == DType::f32 ? 2e-5 : dtype == DType::f16 ? 2e-3 : 1.6e-2;
  const double summed = dtype == DType::f64 ? 1e-12 : dtype == DType::f32 ? 2e-5 : 1e-3;
  in_every_order([&] {
    const Results got = run(in, open_device("cuda"));
    CHECK(relative_distance(got.mean, want.mean) < summed);
    CHECK(relative_distance(got.variance, want.variance) < summed);
    CHECK(relative_distance(got.y, want.y) < stored);
    CHECK(relative_distance(got.dx, want.dx) < stored);
    CHECK(relative_distance(got.dweight, want.dweight) < stored);
    CHECK(relative_distance(got.dbias, want.dbias) < stored);
    if (in.residual.defined()) CHECK(relative_distance(got.dresidual, want.dresidual) < stored);
  });
}

}  // namespace

TEST_CASE("batch norm on the device gives what the CPU gives") {
  DEVICE_OR_SKIP(device);
  constexpr MemoryFormat last = MemoryFormat::channels_last, rows = MemoryFormat::contiguous;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64}) {
    CAPTURE(name(dtype));
    compare(inputs({3, 16, 5, 7}, {.dtype = dtype, .format = last}, true, true));  // vectors of channels
    compare(inputs({2, 24, 4, 4}, {.dtype = dtype, .format = rows}, true, true));  // vectors of pixels
    compare(inputs({2, 3, 5, 5}, {.dtype = dtype, .format = last}, false, true));  // no vectors
    compare(inputs({2, 3, 5, 5}, {.dtype = dtype, .format = rows}, true, false));
    compare(inputs({33, 10}, {.dtype = dtype}, false, false));
  }
}

TEST_CASE("batch norm over several groups of columns and chunks of rows") {
  DEVICE_OR_SKIP(device);
  compare(inputs({9, 200, 8, 8}, {.format = MemoryFormat::channels_last}, false, true));
  compare(inputs({9, 8, 24, 24}, {.dtype = DType::bf16, .format = MemoryFormat::channels_last}, false, true));
  compare(inputs({40, 2, 12, 12}, {}, false, true));
  compare(inputs({1, 77, 1, 2}, {}, true, true));
}

TEST_CASE("batch norm of views") {
  DEVICE_OR_SKIP(device);
  Inputs in = inputs({4, 16, 6, 6}, {.format = MemoryFormat::channels_last}, true, true);
  const Tensor wide = pattern({4, 18, 6, 7}, {.format = MemoryFormat::channels_last}, 6);
  in.x = wide.as_strided({4, 16, 6, 6}, wide.strides(), 1);
  in.dy = pattern({1, 16, 1, 1}, {}, 7).as_strided({4, 16, 6, 6}, {0, 1, 0, 0});
  compare(in);
  in = inputs({4, 16, 6, 6}, {.format = MemoryFormat::channels_last}, false, false);
  in.x = pattern({4 * 16 * 36 + 1}, {}, 8).as_strided(in.x.shape(), in.x.strides(), 1);  // dense but not aligned
  compare(in);
}

TEST_CASE("batch norm's gradient with constant statistics") {
  DEVICE_OR_SKIP(device);
  Inputs in = inputs({3, 8, 4, 4}, {.format = MemoryFormat::channels_last}, true, true);
  in.batch_statistics = false;
  compare(in);
}

TEST_CASE("batch norm's running statistics on the device") {
  DEVICE_OR_SKIP(device);
  for (const DType dtype : {DType::f32, DType::f64})
    for (const int64_t channels : {1, 77, 300}) {
      const auto update = [&](Device device) {
        const auto values = [&](int seed) { return pattern({channels}, {.dtype = dtype}, seed).to(device); };
        const BatchNormStatistics s{values(1), exp(values(2)), values(3), values(4)};
        const Tensor inv_std = empty_like(s.mean);
        kernels(device).norm.update(s, {.momentum = 0.3, .eps = 1e-3, .count = 5}, inv_std);
        return std::array{inv_std, s.running_mean, s.running_var};
      };
      const auto want = update({});
      in_every_order([&] {
        const auto got = update(device);
        for (std::size_t i = 0; i < want.size(); ++i) CHECK(relative_distance(got[i], want[i]) < 1e-6);
      });
    }
}

TEST_CASE("batch norm of nothing, and what is not a number") {
  DEVICE_OR_SKIP(device);
  const Results none = run(inputs({0, 8, 4, 4}, {.format = MemoryFormat::channels_last}, true, true), device);
  CHECK(std::isnan(none.mean.to<double>()[7]));
  CHECK(std::isnan(none.variance.to<double>()[7]));
  CHECK(none.dweight.to<float>() == std::vector<float>(8, 0));
  CHECK(run(inputs({5, 0, 4, 4}, {}, false, false), device).mean.numel() == 0);

  Inputs in = inputs({2, 8, 3, 3}, {.format = MemoryFormat::channels_last}, false, true);
  in.x.data<float>()[8 * 5 + 2] = std::nanf("");
  const Results r = run(in, device);
  for (int c = 0; c < 8; ++c) {
    CHECK(std::isnan(r.mean.to<double>()[c]) == (c == 2));
    CHECK(std::isnan(r.variance.to<double>()[c]) == (c == 2));
    CHECK(std::isnan(r.y.to<double>()[9 * c]) == (c == 2));  // ReLU passes it on
  }
}

TEST_CASE("batch norm's variance survives a mean far from zero and a first value far from the others") {
  DEVICE_OR_SKIP(device);
  constexpr int64_t n = 4096;
  std::vector<float> values(2 * n);
  for (int64_t i = 0; i < n; ++i) {
    values[2 * i] = 30000.f + static_cast<float>(i % 2);  // variance 1/4
    values[2 * i + 1] = i ? static_cast<float>(i % 2) : 20000.f;
  }
  const Tensor x = Tensor::from(values, {n, 2}).to(device);
  const Tensor mean = Tensor::empty({2}, {.device = x.device()}), variance = empty_like(mean);
  kernels(x).norm.statistics(x, mean, variance);
  const double outlier = (20000.0 + (n / 2)) / n;
  const double second = (20000.0 * 20000.0 + (n / 2)) / n - outlier * outlier;
  CHECK(mean.to<double>()[0] == doctest::Approx(30000.5).epsilon(1e-7));
  CHECK(variance.to<double>()[0] == doctest::Approx(0.25).epsilon(1e-4));
  CHECK(mean.to<double>()[1] == doctest::Approx(outlier).epsilon(1e-6));
  CHECK(variance.to<double>()[1] == doctest::Approx(second).epsilon(1e-5));
}

TEST_CASE("batch norm's kernels in a recorded step leave their counters ready for the next replay") {
  DEVICE_OR_SKIP(device);
  const Inputs in = inputs({9, 8, 24, 24}, {.format = MemoryFormat::channels_last}, false, false);
  const NormKernels& norm = kernels(device).norm;
  const Tensor x = in.x.to(device), mean = Tensor::empty({8}, {.device = device}), variance = empty_like(mean);
  norm.statistics(x, mean, variance);
  const std::vector<float> want = variance.to<float>();

  const auto recording = cuda::record(device.index, [&] { norm.statistics(x, mean, variance); });
  const Tensor cleared = Tensor::full({8}, -1, {.device = device});
  for (int replay = 0; replay < 3; ++replay) {
    kernels(device).elementwise.copy(cleared, variance);
    recording->replay();
    CHECK(variance.to<float>() == want);
  }
}

TEST_CASE("the shape of a walk by columns covers everything, with blocks for the whole device") {
  for (const int64_t rows : {0, 1, 7, 512, 8192, 131072, 1 << 30})
    for (const int64_t columns : {1, 2, 3, 6, 8, 9, 64, 3000, 1 << 20})
      for (const bool side_by_side : {true, false}) {
        const cuda::ColumnWork work{
            .rows = rows, .columns = columns, .side_by_side = side_by_side, .rows_per_thread = 4, .most_blocks = 132};
        const cuda::ColumnShape s = cuda::column_shape(work);
        CAPTURE(rows);
        CAPTURE(columns);
        CAPTURE(side_by_side);
        CHECK(s.launch.valid());
        CHECK(s.launch.blocks_x * s.block_columns >= columns);
        CHECK((s.launch.blocks_x - 1) * s.block_columns < columns);
        CHECK(s.launch.blocks_y * s.chunk >= rows);
        CHECK((s.launch.blocks_y - 1) * s.chunk <= std::max<int64_t>(rows - 1, 0));
        CHECK(s.block_columns * s.block_rows <= cuda::column_threads);
        CHECK((side_by_side ? s.block_columns <= 8 : s.block_columns == 1));
        CHECK(s.launch.blocks_y <= std::max<int64_t>(132 / s.launch.blocks_x, 1));
      }
  // RIDE-3 at batch 128 in bf16: 16, 32, 64 channels of 32, 16, 8 pixels a side.
  CHECK(cuda::column_shape({.rows = 128 * 1024, .columns = 2, .rows_per_thread = 4, .most_blocks = 132})
            .launch.blocks_y == 128);
  CHECK(
      cuda::column_shape({.rows = 128 * 64, .columns = 8, .rows_per_thread = 4, .most_blocks = 132}).launch.blocks_y ==
      32);
}
