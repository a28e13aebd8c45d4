// Where launches and loops over tensors begin and end: host arithmetic.
#include <doctest/doctest.h>

#include <random>

#include "engine/cuda/map.h"
#include "engine/ops/shape_ops.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::cuda;

TEST_CASE("cover: enough threads, no block too many, and never more than asked for") {
  for (const int64_t n : {0L, 1L, 255L, 256L, 257L, 1000000L, 5000000000L})
    for (const int64_t per_thread : {1, 4, 8}) {
      const LaunchShape shape = cover(n, per_thread);
      const int64_t per_block = per_thread * threads_per_block;
      CHECK(shape.valid());
      CHECK(shape.blocks_x * per_block >= n);
      CHECK((shape.blocks_x == 1 || (shape.blocks_x - 1) * per_block < n));
      CHECK(cover(n, per_thread, 7).blocks_x <= 7);
    }
  CHECK(cover(int64_t{1} << 50).blocks_x == most_blocks);
  CHECK(cover(0).blocks_x == 1);
}

TEST_CASE("block_per_row: whole warps, more for longer rows") {
  int before = 32;
  for (int64_t length = 0; length < 10000; length += 7) {
    const LaunchShape shape = block_per_row(12, length);
    CHECK(shape.valid());
    CHECK(shape.blocks_x == 12);
    CHECK(shape.threads() % 32 == 0);
    CHECK(shape.threads() >= before);
    before = shape.threads();
  }
  CHECK(block_per_row(1, 1).threads() == 32);
  CHECK(block_per_row(1, 10000).threads() == 1024);
  CHECK(block_per_row(0, 10).blocks_x == 1);
}

TEST_CASE("LaunchShape::valid knows the limits") {
  CHECK(LaunchShape{}.valid());
  CHECK_FALSE(LaunchShape{.blocks_x = 0}.valid());
  CHECK_FALSE(LaunchShape{.blocks_x = most_blocks + 1}.valid());
  CHECK(LaunchShape{.blocks_y = most_blocks_yz}.valid());
  CHECK_FALSE(LaunchShape{.blocks_y = most_blocks_yz + 1}.valid());
  CHECK_FALSE(LaunchShape{.threads_x = 32, .threads_y = 33}.valid());
  CHECK_FALSE(LaunchShape{.threads_x = 0}.valid());
  CHECK_FALSE(LaunchShape{.shared_bytes = 48 * 1024 + 1}.valid());
}

TEST_CASE("DeviceLoop: element i lies where the strides say, for 32-bit and 64-bit positions") {
  const Tensor x = Tensor::arange(2 * 3 * 4 * 5);
  const Tensor a = reshape(x, {2, 3, 4, 5}), b = expand_to(slice(a, {.axis = 2, .start = 3}), {2, 3, 4, 5}),
               c = contiguous(a, MemoryFormat::channels_last), d = transpose(reshape(x, {2, 5, 4, 3}), 1, 3);
  DeviceLoop<4> loop = device_loop(plan_loop_over(b, c, d, a));
  CHECK(loop.count == a.numel());
  CHECK(loop.small);
  const std::vector<int64_t> of_b = b.to<int64_t>(), of_d = d.to<int64_t>();
  for (const bool small : {true, false}) {
    loop.small = small;
    for (int64_t i = 0; i < loop.count; ++i) {
      const auto where = loop.offsets(i);
      // The loop follows a's memory, which is row-major: i is the position in each tensor's own row-major order.
      CHECK(where.at[3] == i);
      CHECK(b.data<int64_t>()[where.at[0]] == of_b[i]);
      CHECK(c.data<int64_t>()[where.at[1]] == i);
      CHECK(d.data<int64_t>()[where.at[2]] == of_d[i]);
    }
  }
}

// No tensor of this size is made: the loop is arithmetic.
TEST_CASE("DeviceLoop: positions beyond 32 bits") {
  const int64_t rows = int64_t{3} << 31, columns = 5;
  const std::array<Strides, 2> strides{Strides{1, rows}, Strides{columns, 1}};
  const DeviceLoop<2> loop = device_loop(plan_loop<2>({rows, columns}, strides));
  CHECK_FALSE(loop.small);
  CHECK(loop.count == rows * columns);
  std::mt19937_64 random(1);
  for (int k = 0; k < 1000; ++k) {
    const int64_t i = static_cast<int64_t>(random() % static_cast<uint64_t>(loop.count));
    const auto where = loop.offsets(i);
    CHECK(where.at[1] == i);
    CHECK(where.at[0] == i / columns + i % columns * rows);
  }
  // The outermost axis alone may be that long.
  const std::array<Strides, 2> inner{Strides{1, columns}, Strides{rows, 1}};
  CHECK(contains(error_of([&] { device_loop(plan_loop<2>({columns, rows}, inner)); }), "is too long"));
}

TEST_CASE("DeviceLoop: dense operands are one row, empty and scalar ones have one too") {
  const Tensor x = Tensor::zeros({2, 3, 4});
  const DeviceLoop<2> dense = device_loop(plan_loop_over(x, x));
  CHECK(dense.rank == 1);
  CHECK(dense.strides[0][0] == 1);
  CHECK(dense.offsets(23).at[1] == 23);
  CHECK(device_loop(plan_loop_over(Tensor::zeros({0, 3}), Tensor::zeros({0, 3}))).count == 0);
  const Tensor scalar = Tensor::zeros({});
  CHECK(device_loop(plan_loop_over(scalar, scalar)).count == 1);
}
