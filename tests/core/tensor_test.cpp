#include "engine/core/tensor.h"

#include <doctest/doctest.h>

#include "engine/core/allocator.h"

using namespace engine;

namespace {

Tensor ramp(const Shape& shape) {
  std::vector<float> values(shape.numel());
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return Tensor::from(values, shape);
}

using Floats = std::vector<float>;

}  // namespace

TEST_CASE("makers fill shape, dtype and values") {
  CHECK(Tensor::zeros({2, 2}).to<float>() == Floats(4, 0.0f));
  for (DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::u8, DType::boolean}) {
    const Tensor x = Tensor::full({3}, 1, {.dtype = dtype});
    CAPTURE(name(dtype));
    CHECK(x.dtype() == dtype);
    CHECK(x.to<float>() == Floats(3, 1.0f));
  }
  CHECK(Tensor::scalar(2.5).shape() == Shape{});
  CHECK(Tensor::scalar(2.5, DType::f64).item() == 2.5);
  CHECK(Tensor::arange(4).to<int64_t>() == std::vector<int64_t>{0, 1, 2, 3});
  CHECK(Tensor::from<uint8_t>({7, 255}, {2}).to<int64_t>() == std::vector<int64_t>{7, 255});
  CHECK(Tensor::from<bool>({true, false}, {2}).dtype() == DType::boolean);
  CHECK(Tensor::empty({0, 3}).numel() == 0);
  CHECK(Tensor::empty({0, 3}).to<float>().empty());
  CHECK_FALSE(Tensor().defined());
}

TEST_CASE("makers refuse what does not fit") {
  CHECK_THROWS_WITH_AS(Tensor::from<float>({1, 2, 3}, {2, 2}), "[from] 3 values don't fill shape (2, 2)", Error);
  CHECK_THROWS_AS(Tensor::empty({2, -1}), Error);
  CHECK_THROWS_AS(Tensor::empty({2}, {.device = {DeviceType::cuda, 0}}), Error);
  CHECK_THROWS_AS(Tensor::empty({2}, {.format = MemoryFormat::channels_last}), Error);
}

TEST_CASE("elements are reached through the right type only") {
  const Tensor x = ramp({2, 3});
  CHECK(x.data<float>()[5] == 5.0f);
  CHECK_THROWS_WITH_AS(x.data<double>(), "[tensor] holds f32, asked for f64 elements: cast first", Error);
  CHECK_THROWS_AS(x.item(), Error);
  CHECK_THROWS_AS(Tensor().item(), Error);
}

TEST_CASE("copies share, views share with other strides, detach shares without history") {
  const Tensor x = ramp({3, 4});
  const Tensor copy = x;
  const Tensor view = x.as_strided({2, 2}, {8, 2}, 1);
  CHECK(view.to<float>() == Floats{1, 3, 9, 11});
  x.data<float>()[3] = -1;
  CHECK(copy.data<float>()[3] == -1);
  CHECK(view.to<float>() == Floats{1, -1, 9, 11});
  CHECK(view.shares_storage(x));
  CHECK(x.detach().shares_storage(x));
  CHECK_FALSE(view.is_contiguous());
  CHECK(view.as_strided({2}, {8}, 2).to<float>() == Floats{-1, 11});  // offsets of views of views add up
}

TEST_CASE("density, formats and text") {
  const Tensor rows = Tensor::empty({2, 3, 4, 5});
  const Tensor last = Tensor::empty({2, 3, 4, 5}, {.format = MemoryFormat::channels_last});
  CHECK(rows.is_contiguous());
  CHECK(rows.format() == MemoryFormat::contiguous);
  CHECK_FALSE(last.is_contiguous());
  CHECK(last.is_dense(MemoryFormat::channels_last));
  CHECK(last.format() == MemoryFormat::channels_last);
  CHECK(last.str() == "f32 (2, 3, 4, 5) channels_last on cpu");
  CHECK(Tensor().str() == "undefined");
  CHECK(empty_like(last).format() == MemoryFormat::channels_last);
  CHECK(empty_like(last, DType::u8).dtype() == DType::u8);
  CHECK(empty_like(rows.as_strided({2, 3}, {1, 2})).is_contiguous());
  // Strides of axes of size 1 do not count: one channel lies in both formats at once and is called contiguous.
  CHECK(Tensor::empty({2, 1, 4, 5}, {.format = MemoryFormat::channels_last}).format() == MemoryFormat::contiguous);
  CHECK(Tensor::empty({0, 3, 4, 5}).is_contiguous());
}

TEST_CASE("to() reads any strides in row-major order") {
  const Tensor x = ramp({2, 3});
  CHECK(x.as_strided({3, 2}, {1, 3}).to<float>() == Floats{0, 3, 1, 4, 2, 5});
  CHECK(x.as_strided({2, 3}, {0, 1}).to<float>() == Floats{0, 1, 2, 0, 1, 2});
  CHECK(x.as_strided({0, 3}, {3, 1}).to<float>().empty());
}

TEST_CASE("is_unshared sees handles and views") {
  Tensor x = ramp({4});
  CHECK(x.is_unshared());
  {
    const Tensor view = x.as_strided({2}, {1});
    CHECK_FALSE(x.is_unshared());
  }
  CHECK(x.is_unshared());
  const Tensor copy = x;
  CHECK_FALSE(x.is_unshared());
}

TEST_CASE("tensors give their memory back to the allocator and take it again") {
  const Shape shape{123, 45};
  { const Tensor warm = Tensor::empty(shape); }
  const AllocatorStats before = cpu_allocator().stats();
  const std::byte* first = Tensor::empty(shape).raw();
  const Tensor again = Tensor::empty(shape);
  CHECK(again.raw() == first);
  const AllocatorStats after = cpu_allocator().stats();
  CHECK(after.system_allocations == before.system_allocations);
  CHECK(after.allocated == before.allocated + CachingAllocator::rounded(123 * 45 * sizeof(float)));
}

TEST_CASE("a tensor over the allocator's limit is an error and leaves nothing behind") {
  const AllocatorStats before = cpu_allocator().stats();
  cpu_allocator().set_limit(before.reserved + (std::size_t{1} << 20));
  CHECK_THROWS_AS(Tensor::empty({1 << 20}), Error);
  cpu_allocator().set_limit(0);
  CHECK(cpu_allocator().stats().allocated == before.allocated);
}
