// Gather and scatter beside the CPU's.
#include "engine/cuda/scatter_plan.h"
#include "tests/emulator/support.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::test;

namespace {

bool same_elements(const Tensor& a, const Tensor& b) { return a.to<double>() == b.to<double>(); }

void check_gather(const Tensor& x, int axis, const Tensor& index) {
  CAPTURE(x.str());
  CAPTURE(index.str());
  const Device device = open_device("cuda");
  const Tensor wanted = Tensor::empty(index.shape(), {.dtype = x.dtype()});
  const Tensor got = Tensor::empty(index.shape(), {.dtype = x.dtype(), .device = device});
  kernels(Device{}).index.gather(x, axis, index, wanted);
  kernels(device).index.gather(x.to(device), axis, index.to(device), got);
  CHECK(same_elements(got, wanted));
}

void check_scatter(const Tensor& source, int axis, const Tensor& index, const Tensor& onto) {
  CAPTURE(source.str());
  CAPTURE(index.str());
  const Device device = open_device("cuda");
  for (const bool add : {false, true}) {
    CAPTURE(add);
    const Tensor wanted = empty_like(onto), got = empty_like(onto.to(device));
    kernels(Device{}).elementwise.copy(onto, wanted);
    kernels(device).elementwise.copy(onto.to(device), got);
    kernels(Device{}).index.scatter(source, axis, index, add, wanted);
    kernels(device).index.scatter(source.to(device), axis, index.to(device), add, got);
    CHECK(same_elements(got, wanted));
  }
}

// As index_select has it: one list for all lines along `axis`.
Tensor stretched(const Tensor& list, const Shape& shape, int axis) {
  return list.as_strided(shape, Shape::filled(shape.rank(), 0).replaced(axis, 1));
}

// Sums of thirds are rounded, so that their order shows.
Tensor thirds(const Shape& shape, DType dtype) {
  const Tensor x = random_tensor(shape, dtype, 3);
  if (is_floating(dtype)) kernels(Device{}).elementwise.unary({UnaryOp::affine, 1.0 / 3, 0.1}, x, x);
  return x;
}

}  // namespace

TEST_CASE("gather along any axis, of all types") {
  DEVICE_OR_SKIP(device);
  in_every_order([] {
    for (const DType dtype : all_types) {
      const Tensor x = random_tensor({5, 7, 9}, dtype);
      for (int axis = 0; axis < 3; ++axis) check_gather(x, axis, random_indices({3, 4, 5}, x.size(axis)));
      check_gather(x.as_strided({9, 5, 7}, {1, 63, 9}), 0, random_indices({11, 5, 7}, 9));
      check_gather(random_tensor({33}, dtype), 0, random_indices({1}, 33));
      check_gather(x, 1, random_indices({5, 0, 9}, 7));
    }
  });
}

TEST_CASE("index_select: whole rows by vectors") {
  DEVICE_OR_SKIP(device);
  for (const DType dtype : all_types) {
    const Tensor x = random_tensor({6, 3, 32}, dtype), list = random_indices({10}, 6);
    check_gather(x, 0, stretched(list, {10, 3, 32}, 0));
    check_gather(x.as_strided({6, 3, 16}, {96, 32, 1}), 0, stretched(list, {10, 3, 16}, 0));
    check_gather(x.as_strided({5, 3, 16}, {96, 32, 1}, 1), 0, stretched(random_indices({10}, 5), {10, 3, 16}, 0));
    check_gather(random_tensor({170}, dtype).as_strided({5, 16}, {33, 1}), 0,
                 stretched(random_indices({10}, 5), {10, 16}, 0));  // rows are not aligned
    check_gather(random_tensor({6, 31}, dtype), 0, stretched(list, {10, 31}, 0));
    check_gather(x, 2, stretched(random_indices({4}, 32), {6, 3, 4}, 2));
  }
}

TEST_CASE("scatter walks the sources of each line in order") {
  DEVICE_OR_SKIP(device);
  in_every_order([] {
    for (const DType dtype : all_types) {
      const Tensor onto = thirds({5, 7, 9}, dtype);
      for (int axis = 0; axis < 3; ++axis)
        check_scatter(thirds({4, 6, 8}, dtype), axis, random_indices({4, 6, 8}, onto.size(axis)), onto);
      check_scatter(thirds({20, 7, 9}, dtype), 0, stretched(random_indices({20}, 5), {20, 7, 9}, 0), onto);
      check_scatter(thirds({20, 7}, dtype).as_strided({20, 7}, {1, 20}), 0, random_indices({20, 7}, 5),
                    thirds({5, 7}, dtype));
      check_scatter(random_tensor({0, 7, 9}, dtype), 0, random_indices({0, 7, 9}, 5), onto);
    }
  });
}

TEST_CASE("scatter sorts the sources of long lines") {
  DEVICE_OR_SKIP(device);
  CHECK(!cuda::walks_lines(7 * 3, 200));
  CHECK(cuda::walks_lines(7 * 3, 64));
  CHECK(cuda::walks_lines(1 << 16, 200));
  in_every_order([] {
    for (const DType dtype : {DType::f32, DType::bf16, DType::i64, DType::boolean}) {
      const Tensor onto = thirds({11, 7, 3}, dtype), list = random_indices({200}, 11);
      check_scatter(thirds({200}, dtype), 0, list, thirds({11}, dtype));
      check_scatter(thirds({200, 7, 3}, dtype), 0, stretched(list, {200, 7, 3}, 0), onto);
      check_scatter(thirds({200, 7, 3}, dtype), 0, random_indices({200, 7, 3}, 11), onto);
      check_scatter(thirds({11, 200, 3}, dtype), 1, random_indices({11, 200, 3}, 7), onto);
      const Tensor half = random_indices({200, 3}, 11).as_strided({200, 7, 3}, {3, 0, 1});  // stretched over one axis
      check_scatter(thirds({200, 7, 3}, dtype), 0, half, onto);
      check_scatter(thirds({3, 7, 200}, dtype).as_strided({200, 7, 3}, {1, 200, 1400}), 0, half,
                    thirds({3, 7, 11}, dtype).as_strided({11, 7, 3}, {1, 11, 77}));
    }
  });
  check_scatter(thirds({6000}, DType::f32), 0, random_indices({6000}, 300), thirds({300}, DType::f32));
}

TEST_CASE("an index that is out of range is reported by the next wait, with its value") {
  DEVICE_OR_SKIP(device);
  const Tensor x = random_tensor({5, 4}, DType::f32).to(device);
  const auto wait = [&] { x.to<float>(); };
  for (const int64_t bad : {int64_t{5}, int64_t{-1}, int64_t{1} << 40}) {
    const std::string wanted = fmt::format("index {} is out of range for an axis of size 5", bad);
    const Tensor index = Tensor::from(std::vector<int64_t>{1, bad, 2, 0}, {1, 4}).to(device);
    const Tensor y = Tensor::empty({1, 4}, {.device = device});
    kernels(device).index.gather(x, 0, index, y);
    CHECK(contains(error_of(wait), "[gather] " + wanted));
    CHECK(error_of(wait).empty());
    kernels(device).index.scatter(y, 0, index, true, x);
    CHECK(contains(error_of(wait), "[scatter] " + wanted));

    std::vector<int64_t> many(100, 3);
    many[50] = bad;
    kernels(device).index.scatter(Tensor::zeros({100}, {.device = device}), 0, Tensor::from(many, {100}).to(device),
                                  false, Tensor::zeros({5}, {.device = device}));
    CHECK(contains(error_of(wait), "[scatter] " + wanted));
  }
}

TEST_CASE("a mask is taken apart as the CPU does it") {
  DEVICE_OR_SKIP(device);
  in_every_order([&] {
    for (const int64_t n : {0, 1, 2, 31, 250, 512, 513, 3000}) {
      const Tensor mask = Tensor::empty({n}, {.dtype = DType::boolean});
      for (int64_t i = 0; i < n; ++i) mask.data<bool>()[i] = (i * i + n) % 7 < 3;
      const auto taken_apart = [&](Device where) {
        const Tensor index = Tensor::empty({n}, {.dtype = DType::i64, .device = where});
        const Tensor count = Tensor::empty({1}, index.options());
        kernels(where).index.partition(mask.to(where), index, count);
        return std::pair(index.to<int64_t>(), count.item());
      };
      CHECK(taken_apart(device) == taken_apart({}));
    }
  });
}
