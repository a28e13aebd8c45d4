// The checks of planned launches find wrong plans: each is a launch of the back end's own with one thing changed.
#include "tests/emulator/launch_checks.h"

#include <doctest/doctest.h>

#include "engine/cuda/columns.h"
#include "engine/cuda/pool_maps.h"
#include "engine/cuda/reduction.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/norm.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "tests/emulator/planned_device.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::test;

namespace {

Tensor images(MemoryFormat format = MemoryFormat::channels_last) {
  return Tensor::empty({8, 24, 17, 19}, {.device = planned_device(), .format = format});
}

// The first launch of `op` in f.
emulator::Launch launch_of(const std::string& op, const std::function<void()>& f) {
  std::vector<emulator::Launch> found;
  see_launches(f, [&](const emulator::Launch& launch) {
    if (launch.op == op) found.push_back(launch);
  });
  REQUIRE(!found.empty());
  REQUIRE(complaint(found[0]).empty());
  return found[0];
}

template <class T>
T& parameter(emulator::Launch& launch) {
  for (std::any& p : launch.parameters)
    if (T* found = std::any_cast<T>(&p)) return *found;
  FAIL("the launch has no such parameter");
  throw 0;
}

// What is said of the launch after `change`.
template <class Change>
std::string after(emulator::Launch launch, Change&& change) {
  change(launch);
  return complaint(launch);
}

}  // namespace

TEST_CASE("a planted wrong grid is found") {
  const emulator::Launch good = launch_of("unary", [] { relu(images()); });
  CHECK(contains(after(good, [](auto& l) { l.blocks_y = 65536; }), "unary: "));
  CHECK(contains(after(good, [](auto& l) { l.blocks_x = int64_t{1} << 31; }), "2147483648 x 1 blocks"));
  CHECK(contains(after(good, [](auto& l) { l.blocks_x = 0; }), "0 x 1 blocks"));
  CHECK(contains(after(good, [](auto& l) { l.threads = 1025; }), "of 1025 threads"));
  CHECK(contains(after(good, [](auto& l) { l.shared_bytes = 48 * 1024 + 1; }), "blocks of"));
  CHECK(contains(after(good, [](auto& l) { ++parameter<int64_t>(l); }), "elements of a buffer of"));
}

TEST_CASE("a planted wrong loop is found") {
  using Loop = cuda::DeviceLoop<2>;
  const emulator::Launch good = launch_of("unary", [] { relu(slice(images(), {.axis = 3, .start = 2})); });
  CHECK(contains(after(good, [](auto& l) { parameter<Loop>(l).strides[0][0] *= 2; }), "an operand spans"));
  CHECK(contains(after(good, [](auto& l) { parameter<Loop>(l).count += 1; }), "in rows of"));
  CHECK(contains(after(good, [](auto& l) { parameter<Loop>(l).count = 0; }), "a launch for nothing"));
  CHECK(contains(after(good, [](auto& l) { parameter<Loop>(l).count *= int64_t{1} << 32; }), "don't fit 32 bits"));
}

TEST_CASE("a planted wrong walk over maps is found") {
  const emulator::Launch good =
      launch_of("max_pool2d", [] { max_pool2d(images(), {.kernel = 3, .stride = 2, .padding = 1}); });
  CHECK(contains(after(good, [](auto& l) { parameter<cuda::MapOrder>(l).count += 1; }), "vectors in images of"));
  CHECK(contains(after(good, [](auto& l) { parameter<cuda::MapOrder>(l).count *= int64_t{1} << 32; }),
                 "don't fit 32 bits"));
  CHECK(contains(after(good, [](auto& l) { parameter<cuda::MapOrder>(l).count *= 64; }), "aligned vectors"));
}

TEST_CASE("a planted wrong walk over columns is found") {
  using cuda::Columns;
  for (const MemoryFormat format : {MemoryFormat::channels_last, MemoryFormat::contiguous}) {
    const Tensor one = Tensor::empty({24}, {.device = planned_device()});
    const emulator::Launch good =
        launch_of("batch_norm statistics", [&] { batch_norm(images(format), one, one, clone(one), clone(one), {}); });
    const int rows = std::any_cast<Columns>(good.parameters[0]).block_rows;
    CHECK(contains(after(good, [&](auto& l) { parameter<Columns>(l).chunk -= rows; }), "chunks of"));
    CHECK(contains(after(good, [&](auto& l) { l.blocks_y += 1; }), "chunks of"));
    CHECK(contains(after(good, [&](auto& l) { parameter<Columns>(l).block_rows *= 2; }), "than threads"));
    CHECK(contains(after(good, [&](auto& l) { parameter<Columns>(l).columns *= 3; }), "groups of columns"));
    CHECK(contains(after(good, [&](auto& l) { parameter<cuda::Global<const float>>(l) += 1; }), "vectors for"));
  }
}

TEST_CASE("a planted wrong reduction is found") {
  using cuda::ReductionShape;
  const emulator::Launch good = launch_of("sum", [] { sum(images(), {.axes = {0, 2, 3}}); });
  CHECK(contains(after(good, [](auto& l) { parameter<ReductionShape>(l).piece -= 1; }), "pieces of"));
  CHECK(contains(after(good, [](auto& l) { parameter<int64_t>(l) += 1000000; }), "pieces of"));
  CHECK(contains(after(good, [](auto& l) { l.blocks_x += 1; }), "blocks of"));
  CHECK(contains(after(good, [](auto& l) { parameter<ReductionShape>(l).lanes = 3; }), "lanes in a block"));
}
