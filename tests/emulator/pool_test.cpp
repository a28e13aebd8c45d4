// Pooling of engine/cuda beside the CPU's.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/kernels/pool_windows.h"
#include "engine/kernels/select.h"
#include "tests/distance.h"
#include "tests/emulator/compare.h"

using namespace engine;
using namespace engine::test;

namespace {

constexpr MemoryFormat last = MemoryFormat::channels_last, rows = MemoryFormat::contiguous;
constexpr DType floating[] = {DType::f32, DType::bf16, DType::f16, DType::f64};

Shape pooled(const Shape& x, const Pool2dOptions& o) {
  return {x[0], x[1], (x[2] + 2 * o.padding.h - o.kernel.h) / o.stride.h + 1,
          (x[3] + 2 * o.padding.w - o.kernel.w) / o.stride.w + 1};
}

// Sums are f32, and f64 for f64; a sum in another order may round to the neighbour.
double tolerance(DType dtype) {
  return dtype == DType::f64 ? 1e-14 : dtype == DType::f32 ? 1e-6 : dtype == DType::f16 ? 1e-3 : 8e-3;
}

struct Results {
  Tensor y, dx;
};

enum class Kind { max, average, whole };

Results run(Kind kind, const Tensor& x_any, const Tensor& dy_any, const Pool2dOptions& o, Device device) {
  const PoolKernels& pool = kernels(device).pool;
  const Tensor x = x_any.to(device), dy = dy_any.to(device);
  const TensorOptions like{x.dtype(), device, x.format()};
  const Tensor y = kind == Kind::whole ? Tensor::empty(dy.shape(), {.dtype = x.dtype(), .device = device})
                                       : Tensor::empty(dy.shape(), like);
  const Results r{y, Tensor::full(x.shape(), 77, like)};
  if (kind == Kind::max) {
    Tensor where;
    pool.max(x, o, r.y, where);
    pool.max_backward(dy, where, o, r.dx);
  } else if (kind == Kind::average) {
    pool.average(x, o, r.y);
    pool.average_backward(dy, o, r.dx);
  } else {
    pool.global_average(x, r.y);
    pool.global_average_backward(dy, r.dx);
  }
  return r;
}

void compare(Kind kind, const Tensor& x, const Tensor& dy, const Pool2dOptions& o = {}) {
  CAPTURE(x.str());
  const Results want = run(kind, x, dy, o, {});
  in_every_order([&] {
    const Results got = run(kind, x, dy, o, open_device("cuda"));
    CHECK(relative_distance(got.y, want.y) <= (kind == Kind::max ? 0 : tolerance(x.dtype())));
    CHECK(relative_distance(got.dx, want.dx) <= tolerance(x.dtype()));
  });
}

void compare(Kind kind, const Shape& shape, TensorOptions options, const Pool2dOptions& o) {
  compare(kind, pattern(shape, options, 1), pattern(pooled(shape, o), options, 2), o);
}

}  // namespace

TEST_CASE("max and average pooling on the device give what the CPU gives") {
  DEVICE_OR_SKIP(device);
  for (const Kind kind : {Kind::max, Kind::average})
    for (const DType dtype : floating)
      for (const MemoryFormat format : {last, rows}) {
        const TensorOptions options{.dtype = dtype, .format = format};
        compare(kind, {2, 16, 7, 6}, options, {.kernel = 3, .stride = 2, .padding = 1});
        compare(kind, {1, 3, 5, 9}, options, {.kernel = {2, 4}, .stride = {1, 3}, .count_include_pad = false});
      }
  compare(Kind::average, {1, 8, 5, 5}, {.format = last},
          {.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false});
  compare(Kind::max, {33, 1, 4, 4}, {}, {.kernel = 2, .stride = 3});    // pixels in no window
  compare(Kind::max, {1, 2, 20, 20}, {}, {.kernel = 18, .stride = 1});  // numbers beyond a byte
  compare(Kind::average, {1, 1, 1, 1}, {}, {.kernel = 1, .stride = 1});
}

TEST_CASE("pooling of views") {
  DEVICE_OR_SKIP(device);
  const Tensor wide = pattern({2, 18, 7, 8}, {.format = last}, 3);
  const Tensor x = wide.as_strided({2, 16, 6, 7}, wide.strides(), 1);
  const Tensor dy = pattern({1, 16, 1, 1}, {}, 4).as_strided({2, 16, 3, 3}, {0, 1, 0, 0});
  for (const Kind kind : {Kind::max, Kind::average}) compare(kind, x, dy, {.kernel = 2, .stride = 2});
  compare(Kind::whole, x, pattern({1, 16}, {}, 5).as_strided({2, 16}, {0, 1}));
}

TEST_CASE("average over whole maps") {
  DEVICE_OR_SKIP(device);
  for (const DType dtype : floating)
    for (const MemoryFormat format : {last, rows})
      for (const Shape& shape : {Shape{3, 16, 8, 8}, Shape{2, 10, 3, 5}, Shape{33, 1, 2, 1}, Shape{1, 200, 1, 1}})
        compare(Kind::whole, pattern(shape, {.dtype = dtype, .format = format}, 6),
                pattern({shape[0], shape[1]}, {.dtype = dtype}, 7));
}

TEST_CASE("pooling of nothing") {
  DEVICE_OR_SKIP(device);
  const Tensor x = Tensor::empty({0, 4, 4, 4}), dy = Tensor::empty({0, 4, 2, 2});
  for (const Kind kind : {Kind::max, Kind::average}) compare(kind, x, dy, {.kernel = 2, .stride = 2});
  compare(Kind::whole, x, Tensor::empty({0, 4}));
}

TEST_CASE("the first of equals and the last NaN win a window; a window of -inf has a winner too") {
  DEVICE_OR_SKIP(device);
  const float nan = std::nanf(""), low = -std::numeric_limits<float>::infinity();
  const Tensor x = Tensor::from(std::vector<float>{1, 1, nan, 5, low, low, 1, 1, 5, nan, low, low}, {1, 1, 2, 6});
  const Tensor dy = Tensor::from(std::vector<float>{1, 2, 3}, {1, 1, 1, 3});
  for (const DType dtype : floating) {
    const Results r = run(Kind::max, typed(x, dtype), typed(dy, dtype), {.kernel = 2, .stride = 2}, device);
    const std::vector<double> y = r.y.to<double>();
    CHECK(y[0] == 1);
    CHECK(std::isnan(y[1]));
    CHECK(y[2] == low);
    CHECK(r.dx.to<double>() == std::vector<double>{1, 0, 0, 0, 3, 0, 0, 0, 0, 2, 0, 0});
  }
}

TEST_CASE("a pixel is in the windows that cover it") {
  for (int size = 1; size < 9; ++size)
    for (int kernel = 1; kernel <= 4; ++kernel)
      for (int stride = 1; stride <= 4; ++stride)
        for (int padding = 0; 2 * padding <= kernel; ++padding) {
          if (size + 2 * padding < kernel) continue;
          const PoolAxis axis{size, (size + 2 * padding - kernel) / stride + 1, kernel, stride, padding};
          for (int i = 0; i < size; ++i)
            for (int p = 0; p < axis.outputs; ++p) {
              const PoolRange pixels = axis.pixels_of(p), windows = axis.windows_of(i);
              CHECK(pixels.begin < pixels.end);
              CHECK((pixels.begin <= i && i < pixels.end) == (windows.begin <= p && p < windows.end));
            }
        }
}

TEST_CASE("subsampling on the device gives what the CPU gives") {
  DEVICE_OR_SKIP(device);
  struct Case {
    Shape x;
    SubsampleOptions options;
  };
  const auto compare_case = [&](const Tensor& x, const Tensor& dy, const SubsampleOptions& o) {
    const auto results = [&](Device device, bool add) {
      const PoolKernels& pool = kernels(device).pool;
      const Tensor y = Tensor::full(dy.shape(), 77, {x.dtype(), device, x.format()});
      pool.subsample(x.to(device), o, y);
      const Tensor dx = pattern(x.shape(), {.dtype = x.dtype(), .format = x.format()}, 8).to(device);
      pool.subsample_backward(dy.to(device), o, add, dx);
      return Results{y, dx};
    };
    CAPTURE(x.str());
    for (const bool add : {false, true}) {
      const Results want = results({}, add);
      in_every_order([&] {
        const Results got = results(device, add);
        CHECK(got.y.to<double>() == want.y.to<double>());
        CHECK(got.dx.to<double>() == want.dx.to<double>());
      });
    }
  };
  for (const DType dtype : floating)
    for (const MemoryFormat format : {last, rows})
      for (const Case& c : {Case{{2, 16, 7, 6}, {.stride = 2, .channels_before = 8, .channels_after = 8}},
                            Case{{2, 3, 5, 5}, {.stride = 3, .channels_before = 1, .channels_after = 2}},
                            Case{{1, 8, 3, 3}, {.stride = 1}}}) {
        const TensorOptions like{.dtype = dtype, .format = format};
        const auto kept = [&](int64_t size) { return (size + c.options.stride - 1) / c.options.stride; };
        const Shape y{c.x[0], c.options.channels_before + c.x[1] + c.options.channels_after, kept(c.x[2]),
                      kept(c.x[3])};
        compare_case(pattern(c.x, like, 9), pattern(y, like, 10), c.options);
      }
}
