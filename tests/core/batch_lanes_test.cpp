// The batch_lanes memory format as tensors know it.
#include <doctest/doctest.h>

#include "engine/core/tensor.h"

using namespace engine;

namespace {

constexpr TensorOptions lanes_options{.format = MemoryFormat::batch_lanes};

// Element (n, c, h, w) by the format's formula.
int64_t place(const Shape& s, int64_t n, int64_t c, int64_t h, int64_t w) {
  return ((((n / 16) * s[1] + c) * s[2] + h) * s[3] + w) * 16 + n % 16;
}

}  // namespace

TEST_CASE("batch_lanes: shapes in memory") {
  CHECK(groups_of({1, 3, 5, 7}) == Shape{1, 3, 5, 7, 16});
  CHECK(groups_of({33, 3, 5, 7}) == Shape{3, 3, 5, 7, 16});
  CHECK(groups_of({0, 3, 5, 7}).numel() == 0);
  CHECK(stored_elements({17, 2, 3, 1}, MemoryFormat::batch_lanes) == 2 * 2 * 3 * 16);
  CHECK(stored_elements({17, 2, 3, 1}, MemoryFormat::channels_last) == 17 * 2 * 3);
  CHECK_THROWS_WITH_AS(Tensor::empty({16, 3}, lanes_options),
                       "[memory_format] batch_lanes needs a (N, C, H, W) shape, got (16, 3)", Error);
}

TEST_CASE("batch_lanes: elements lie where the formula says, read in row-major order") {
  for (const int64_t n : {1, 15, 16, 17, 33}) {
    const Shape shape{n, 3, 2, 5};
    const Tensor x = Tensor::zeros(shape, lanes_options);
    std::vector<float> expected;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < 3; ++c)
        for (int64_t h = 0; h < 2; ++h)
          for (int64_t w = 0; w < 5; ++w) {
            expected.push_back(static_cast<float>(expected.size() + 1));
            x.data<float>()[place(shape, i, c, h, w)] = expected.back();
          }
    CHECK(x.to<float>() == expected);
  }
}

TEST_CASE("batch_lanes: makers leave the images that fill up the last group zero") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::boolean}) {
    const Tensor x = Tensor::full({18, 2, 1, 3}, 1, {.dtype = dtype, .format = MemoryFormat::batch_lanes});
    CHECK(x.to<float>() == std::vector<float>(18 * 2 * 3, 1.0f));
    const std::vector<float> memory = x.groups().to<float>();
    REQUIRE(memory.size() == 2 * 2 * 3 * 16);
    for (std::size_t i = 0; i < memory.size(); ++i)
      CHECK(memory[i] == (i < memory.size() / 2 || i % 16 < 2 ? 1.0f : 0.0f));
  }
  for (const float v : Tensor::zeros({3, 2, 1, 3}, lanes_options).groups().to<float>()) CHECK(v == 0.0f);
}

TEST_CASE("batch_lanes: a format of its own, kept by what makes tensors alike") {
  // Also where strided formats can't be told apart: one channel, one pixel, no image.
  for (const Shape& shape : {Shape{16, 2, 3, 3}, {16, 1, 1, 1}, {0, 2, 3, 3}}) {
    const Tensor x = Tensor::zeros(shape, {.dtype = DType::bf16, .format = MemoryFormat::batch_lanes});
    CHECK(x.format() == MemoryFormat::batch_lanes);
    CHECK(x.is_dense(MemoryFormat::batch_lanes));
    CHECK_FALSE(x.is_dense(MemoryFormat::channels_last));
    CHECK_FALSE(x.is_contiguous());
    CHECK_FALSE(Tensor::zeros(shape).is_dense(MemoryFormat::batch_lanes));
    CHECK(x.detach().format() == MemoryFormat::batch_lanes);
    CHECK(x.detach().shares_storage(x));
    CHECK(empty_like(x).format() == MemoryFormat::batch_lanes);
    CHECK(empty_like(x).dtype() == DType::bf16);
    CHECK(empty_like(x, DType::f32).groups().shape() == groups_of(shape));
  }
  const Tensor x = Tensor::zeros({5, 2, 3, 3}, lanes_options);
  CHECK(x.str() == "f32 (5, 2, 3, 3) batch_lanes on cpu");
  CHECK(x.numel() == 90);
  CHECK(conversion_name(x, DType::f32, MemoryFormat::channels_last) == "convert batch_lanes -> channels_last");
}

TEST_CASE("batch_lanes: groups of images are a view") {
  const Tensor x = Tensor::zeros({20, 2, 3, 1}, lanes_options);
  const Tensor first = x.group_range(0, 1), last = x.group_range(1, 2);
  CHECK(first.shape() == Shape{16, 2, 3, 1});
  CHECK(last.shape() == Shape{4, 2, 3, 1});
  CHECK(last.shares_storage(x));
  CHECK(last.format() == MemoryFormat::batch_lanes);
  last.data<float>()[3] = 7;  // image 19, channel 0, pixel 0
  CHECK(x.to<float>()[19 * 6] == 7);
  CHECK(x.group_range(0, 2).shape() == x.shape());
  CHECK_THROWS_WITH_AS(x.group_range(1, 3), "[group_range] no groups 1 to 3 in 2", Error);
  CHECK_THROWS_AS(x.group_range(1, 1), Error);
  CHECK_THROWS_AS(Tensor::zeros({20}).group_range(0, 1), Error);
}

TEST_CASE("batch_lanes: strided code gets an error, never other elements") {
  const Tensor x = Tensor::zeros({5, 2, 3, 3}, lanes_options);
  const char* message =
      "[tensor] f32 (5, 2, 3, 3) batch_lanes on cpu has no strides: contiguous() gives a tensor that has";
  CHECK_THROWS_WITH_AS(x.strides(), message, Error);
  CHECK_THROWS_WITH_AS(x.as_strided({2}, {1}), message, Error);
  CHECK_THROWS_WITH_AS(Tensor::zeros({2}).groups(),
                       "[groups] only a batch_lanes tensor lies in groups, this is f32 (2,) contiguous on cpu", Error);
  CHECK_THROWS_AS(strides_of({5, 2, 3, 3}, MemoryFormat::batch_lanes), Error);
}
