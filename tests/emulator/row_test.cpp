// Order and softmax of rows beside the CPU's.
#include "engine/kernels/order.h"
#include "tests/emulator/support.h"

using namespace engine;
using namespace engine::test;

namespace {

void check_sort(const Tensor& x, int64_t k) {
  CAPTURE(x.str());
  CAPTURE(k);
  const Device device = open_device("cuda");
  const Shape shape = x.shape().replaced(x.rank() - 1, k);
  for (const bool descending : {false, true}) {
    CAPTURE(descending);
    const Tensor wanted = Tensor::empty(shape, {.dtype = DType::i64});
    const Tensor got = Tensor::empty(shape, {.dtype = DType::i64, .device = device});
    kernels(Device{}).reduce.sort(x, descending, wanted);
    kernels(device).reduce.sort(x.to(device), descending, got);
    CHECK(got.to<int64_t>() == wanted.to<int64_t>());
  }
}

void check_softmax(const Tensor& x) {
  CAPTURE(x.str());
  const Device device = open_device("cuda");
  // The CPU adds a row's terms one after the other, in f32 for all but f64.
  const double sums = x.dtype() == DType::f64 ? 1e-13 : 6e-8 * static_cast<double>(x.rank() ? x.size(-1) : 1);
  for (const bool log : {false, true}) {
    CAPTURE(log);
    const Tensor wanted = empty_like(x), there = x.to(device), got = empty_like(there);
    kernels(Device{}).reduce.softmax(x, log, wanted);
    kernels(device).reduce.softmax(there, log, got);
    CHECK(relative_distance(got, wanted) <= 2 * rounding(x.dtype()) + sums);

    const Tensor dy = random_tensor(x.shape(), x.dtype(), 5), dx = empty_like(x), dx_got = empty_like(there);
    kernels(Device{}).reduce.softmax_backward(wanted, dy, log, dx);
    kernels(device).reduce.softmax_backward(wanted.to(device), dy.to(device), log, dx_got);
    CHECK(relative_distance(dx_got, dx) <= 4 * rounding(x.dtype()) + sums);
  }
}

}  // namespace

TEST_CASE("the order of rows that fit a block, with many equal elements") {
  DEVICE_OR_SKIP(device);
  in_every_order([] {
    for (const DType dtype : all_types) {
      for (const int64_t n : {1, 2, 33, 100}) check_sort(random_tensor({3, n}, dtype), n);
      check_sort(random_tensor({2, 3, 100}, dtype), 5);
    }
  });
  check_sort(random_tensor({0, 4}, DType::f32), 4);
  check_sort(random_tensor({3, 4}, DType::f32), 0);
  check_sort(random_tensor({4096}, DType::f32), 4096);
}

TEST_CASE("the order of longer rows, merged from sorted runs") {
  DEVICE_OR_SKIP(device);
  for (const DType dtype : {DType::f32, DType::i64}) {
    check_sort(random_tensor({2, 4097}, dtype), 4097);
    check_sort(random_tensor({8200}, dtype), 7);
  }
  in_every_order([] { check_sort(random_tensor({9001}, DType::f16), 5000); });
  check_sort(random_tensor({13000}, DType::f64), 13000);
}

TEST_CASE("NaN counts as the largest, and zero has no sign") {
  DEVICE_OR_SKIP(device);
  const float nan = std::nanf("");
  check_sort(Tensor::from(std::vector<float>{0.0f, -0.0f, nan, -INFINITY, INFINITY, -nan, 0.0f, 1e-40f, -3}, {9}), 9);
  const double wide = std::nan("");
  check_sort(Tensor::from(std::vector<double>{-0.0, 0.0, wide, -INFINITY, INFINITY, -wide, -3}, {7}), 7);
  check_sort(Tensor::from(std::vector<int64_t>{0, -1, INT64_MIN, INT64_MAX, 5, -1}, {6}), 6);
}

TEST_CASE("sort keys are ordered as the values are") {
  const std::vector<double> values = {-INFINITY, -2, -1e-310, 0, 1e-310, 1, 2, INFINITY, std::nan("")};
  for (const bool descending : {false, true})
    for (const double a : values)
      for (const double b : values) {
        CAPTURE(a);
        CAPTURE(b);
        const bool before = descending ? greater(a, b) : greater(b, a);
        CHECK((sort_key(a, descending) < sort_key(b, descending)) == before);
      }
}

TEST_CASE("softmax, its logarithm and their gradients") {
  DEVICE_OR_SKIP(device);
  in_every_order([] {
    for (const DType dtype : floating_types) {
      for (const int64_t n : {1, 33, 100}) check_softmax(random_tensor({5, n}, dtype));
      check_softmax(random_tensor({2, 1025}, dtype));  // a block for each row
      check_softmax(random_tensor({0, 3}, dtype));
    }
    check_softmax(random_tensor({2, 5000}, DType::f32));
  });
  check_softmax(random_tensor({}, DType::f32));
  check_softmax(random_tensor({2, 3, 0}, DType::f32));
}

TEST_CASE("softmax of large and of infinite numbers") {
  DEVICE_OR_SKIP(device);
  const Tensor x = Tensor::from(std::vector<float>{1e4f, 1e4f, -INFINITY, 0, 1, 2, INFINITY, 0, 1}, {3, 3}).to(device);
  const Tensor y = empty_like(x);
  kernels(device).reduce.softmax(x, false, y);
  const auto values = y.to<float>();
  CHECK(values[0] == 0.5f);
  CHECK(values[2] == 0);
  CHECK(values[5] == doctest::Approx(std::exp(0.0) / (1 + std::exp(-1.0) + std::exp(-2.0))));
  CHECK(std::isnan(values[6]));
}
