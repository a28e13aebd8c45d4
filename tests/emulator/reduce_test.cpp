// Sums and positions of maxima beside the CPU's.
#include "engine/cuda/reduction_shape.h"
#include "tests/emulator/support.h"

using namespace engine;
using namespace engine::test;

namespace {

Shape with_ones(Shape shape, const std::vector<int>& axes) {
  for (const int axis : axes) shape[axis] = 1;
  return shape;
}

void check_sum(const Tensor& x, const std::vector<int>& axes, double scale = 1) {
  CAPTURE(x.str());
  const Device device = open_device("cuda");
  const Shape shape = with_ones(x.shape(), axes);
  const Tensor wanted = Tensor::empty(shape, {.dtype = x.dtype()});
  const Tensor got = Tensor::empty(shape, {.dtype = x.dtype(), .device = device});
  kernels(Device{}).reduce.sum(x, scale, wanted);
  kernels(device).reduce.sum(x.to(device), scale, got);
  CHECK(relative_distance(got, wanted) <= rounding(x.dtype()));
}

void check_argmax(const Tensor& x, int axis) {
  CAPTURE(x.str());
  const Device device = open_device("cuda");
  const Shape shape = x.shape().erased(axis);
  const Tensor wanted = Tensor::empty(shape, {.dtype = DType::i64});
  const Tensor got = Tensor::empty(shape, {.dtype = DType::i64, .device = device});
  kernels(Device{}).reduce.argmax(x, axis, wanted);
  kernels(device).reduce.argmax(x.to(device), axis, got);
  CHECK(got.to<int64_t>() == wanted.to<int64_t>());
}

Tensor channels_last(const Tensor& x) {
  const Tensor y = Tensor::empty(x.shape(), {.dtype = x.dtype(), .format = MemoryFormat::channels_last});
  kernels(Device{}).elementwise.copy(x, y);
  return y;
}

}  // namespace

TEST_CASE("sums over any axes") {
  DEVICE_OR_SKIP(device);
  in_every_order([] {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64}) {
      check_sum(random_tensor({1}, dtype), {0});
      check_sum(random_tensor({33}, dtype), {0});
      check_sum(random_tensor({0, 3}, dtype), {0});
      check_sum(random_tensor({3, 0}, dtype), {0});
      check_sum(random_tensor({7, 40}, dtype), {1});  // vectors of 16 bytes
      check_sum(random_tensor({7, 41}, dtype), {1});
      check_sum(random_tensor({33, 7}, dtype), {0});
      const Tensor images = random_tensor({2, 3, 5, 7}, dtype);
      for (const auto& axes : std::vector<std::vector<int>>{{0, 2, 3}, {2, 3}, {1}, {0, 1, 2, 3}, {3, 0}, {}}) {
        check_sum(images, axes, 0.5);
        check_sum(channels_last(images), axes);
      }
    }
  });
}

TEST_CASE("sums of views") {
  DEVICE_OR_SKIP(device);
  const Tensor x = random_tensor({6, 40}, DType::f32);
  check_sum(x.as_strided({40, 6}, {1, 40}), {0});
  check_sum(x.as_strided({40, 6}, {1, 40}), {1});
  check_sum(x.as_strided({5, 32}, {40, 1}, 1), {1});  // not aligned
  check_sum(x.as_strided({5, 32}, {40, 1}, 4), {1});
  check_sum(x.as_strided({3, 10}, {80, 4}), {1});
  check_sum(x.as_strided({6, 9}, {40, 0}), {1});
  check_sum(x.as_strided({6, 9}, {0, 1}), {0});
}

// Few sets of many terms are shared by several blocks.
TEST_CASE("large sums: the CPU's value and the same bits in every order") {
  DEVICE_OR_SKIP(device);
  for (const auto& [shape, axis] :
       std::vector<std::pair<Shape, int>>{{{100001}, 0}, {{2, 50001}, 1}, {{50001, 2}, 0}}) {
    const Tensor x = random_tensor(shape, DType::f32);
    check_sum(x, {axis});
    std::vector<float> first;
    const Tensor scaled = x.to(device);
    kernels(device).elementwise.unary({UnaryOp::affine, 0.1, 0.3}, scaled, scaled);
    in_every_order([&] {
      const Tensor y = Tensor::empty(with_ones(shape, {axis}), {.device = device});
      kernels(device).reduce.sum(scaled, 1, y);
      if (first.empty()) first = y.to<float>();
      CHECK(y.to<float>() == first);
    });
  }
}

TEST_CASE("a sum of many small terms stays accurate") {
  DEVICE_OR_SKIP(device);
  const Tensor x = Tensor::full({1 << 20}, 0.1, {.device = device}), y = Tensor::empty({1}, {.device = device});
  kernels(device).reduce.sum(x, 1, y);
  CHECK(y.item() == doctest::Approx(0.1f * (1 << 20)).epsilon(1e-6));
}

TEST_CASE("the position of the largest element") {
  DEVICE_OR_SKIP(device);
  in_every_order([] {
    for (const DType dtype : all_types) {
      check_argmax(random_tensor({1}, dtype), 0);
      check_argmax(random_tensor({33, 100}, dtype), 1);
      check_argmax(random_tensor({100, 33}, dtype), 0);
      const Tensor images = random_tensor({2, 3, 5, 7}, dtype);
      for (int axis = 0; axis < 4; ++axis) check_argmax(axis % 2 ? images : channels_last(images), axis);
      check_argmax(random_tensor({0, 3}, dtype), 1);
    }
  });
  check_argmax(random_tensor({20011}, DType::f32), 0);
  check_argmax(random_tensor({20011, 2}, DType::i64), 0);
}

TEST_CASE("the first NaN is the largest element") {
  DEVICE_OR_SKIP(device);
  const float nan = std::nanf("");
  check_argmax(Tensor::from(std::vector<float>{1, nan, INFINITY, nan, 5, 5, 7, 7}, {2, 4}), 1);
  std::vector<float> many(20000, 1.0f);
  many[17] = INFINITY;
  many[9001] = many[19000] = nan;
  check_argmax(Tensor::from(many, {20000}), 0);
}

TEST_CASE("how a reduction is shared out") {
  using cuda::reduction_shape;
  for (const bool columns : {false, true})
    for (const int64_t sets : {1, 2, 33, 1000, 1 << 20})
      for (const int64_t terms : {0, 1, 2, 100, 50000, 1 << 24}) {
        CAPTURE(sets);
        CAPTURE(terms);
        const cuda::ReductionShape s = reduction_shape(sets, terms, columns, 132);
        CHECK(cuda::launch_shape(s, sets).valid());
        CHECK(s.lanes * s.width() == cuda::threads_per_block);
        CHECK(s.splits * s.piece >= terms);
        CHECK((s.splits - 1) * s.piece < std::max<int64_t>(terms, 1));  // no block without terms
      }
  CHECK(reduction_shape(1, 1 << 24, false, 132).splits == 528);  // one sum fills the device
  CHECK(reduction_shape(1 << 20, 1 << 10, false, 132).splits == 1);
  CHECK(reduction_shape(1 << 20, 3, true, 132).lanes == 1);
  CHECK(reduction_shape(512, 1 << 16, true, 132).width() == 32);
}
