// Matrix product on the device beside the CPU's: what matmul.cpp gives to cuBLASLt and makes of its results.
#include <doctest/doctest.h>

#include "engine/kernels/select.h"
#include "engine/ops/shape_ops.h"
#include "tests/distance.h"
#include "tests/emulator/compare.h"

using namespace engine;
using namespace engine::test;

namespace {

Tensor on(const Tensor& x, Device device) { return x.defined() ? x.to(device) : x; }

void compare(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y, double tolerance) {
  CAPTURE(a.str());
  CAPTURE(b.str());
  CAPTURE(y.str());
  const Device device = open_device("cuda");
  const Tensor got = y.to(device);
  kernels(Device{}).matmul.matmul(a, b, bias, y);
  kernels(device).matmul.matmul(a.to(device), b.to(device), on(bias, device), got);
  CHECK(relative_distance(got, y) < tolerance);
}

Tensor t(const Tensor& x) { return transpose(x, -1, -2); }

}  // namespace

TEST_CASE("matrix products on the device give what the CPU gives, in all layouts") {
  DEVICE_OR_SKIP(device);
  const Tensor bias = pattern({5}, {}, 9), strided_bias = pattern({10}, {}, 9).as_strided({5}, {2});
  for (const Tensor& b : {Tensor(), bias, strided_bias})
    for (const Tensor& a :
         {pattern({4, 6}, {}, 1), t(pattern({6, 4}, {}, 2)), pattern({4, 12}, {}, 3).as_strided({4, 6}, {12, 2})})
      for (const Tensor& c :
           {pattern({6, 5}, {}, 4), t(pattern({5, 6}, {}, 5)), pattern({1, 5}, {}, 6).as_strided({6, 5}, {0, 1})}) {
        compare(a, c, b, Tensor::empty({4, 5}), 1e-5);
        compare(a, c, b, t(Tensor::empty({5, 4})), 1e-5);
      }
}

TEST_CASE("matrix products of batches, of single rows and columns, and of nothing") {
  DEVICE_OR_SKIP(device);
  compare(pattern({3, 4, 6}, {}, 1), pattern({3, 6, 5}, {}, 2), pattern({5}, {}, 3), Tensor::empty({3, 4, 5}), 1e-5);
  compare(pattern({3, 4, 6}, {}, 1), t(pattern({3, 5, 6}, {}, 2)), {}, Tensor::empty({3, 4, 5}), 1e-5);
  compare(pattern({3, 4, 6}, {}, 1), pattern({6, 5}, {}, 2).as_strided({3, 6, 5}, {0, 5, 1}), {},
          Tensor::empty({3, 4, 5}), 1e-5);
  compare(pattern({1, 33}, {}, 1), pattern({33, 1}, {}, 2), pattern({1}, {}, 3), Tensor::empty({1, 1}), 1e-5);
  compare(pattern({7, 1}, {}, 1), pattern({1, 3}, {}, 2), {}, Tensor::empty({7, 3}), 1e-5);
  compare(pattern({7, 3}, {}, 1), pattern({3, 1}, {}, 2), {}, Tensor::empty({7, 1}), 1e-5);
  compare(Tensor::empty({4, 0}), Tensor::empty({0, 5}), pattern({5}, {}, 3), Tensor::empty({4, 5}), 1e-7);
  compare(Tensor::empty({4, 0}), Tensor::empty({0, 5}), {}, Tensor::empty({4, 5}), 1e-7);
  const Tensor none = Tensor::empty({0, 5}, {.device = device});
  kernels(device).matmul.matmul(Tensor::empty({0, 6}, {.device = device}), Tensor::empty({6, 5}, {.device = device}),
                                {}, none);
}

TEST_CASE("matrix products of mixed types, with a bias of f32 or of the product's type") {
  DEVICE_OR_SKIP(device);
  using enum DType;
  const auto product = [](DType a, DType b, DType y, DType bias, double tolerance) {
    compare(pattern({9, 17}, {.dtype = a}, 1), t(pattern({8, 17}, {.dtype = b}, 2)), pattern({8}, {.dtype = bias}, 3),
            Tensor::empty({9, 8}, {.dtype = y}), tolerance);
  };
  product(bf16, bf16, bf16, bf16, 1.6e-2);
  product(bf16, f32, bf16, f32, 1.6e-2);
  product(bf16, f32, f32, f32, 1e-2);
  product(f32, bf16, bf16, f32, 1.6e-2);
  product(f32, f32, bf16, f32, 1.6e-2);
  product(f16, f16, f16, f32, 2e-3);
  product(f16, f32, f32, f32, 2e-3);
  product(bf16, bf16, f16, f32, 1e-2);
  product(f64, f64, f64, f64, 1e-12);
}
