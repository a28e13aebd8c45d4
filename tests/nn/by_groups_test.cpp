// by_groups and for_branches give what single calls give, for every batch and number of threads, in the modes of the
// caller.
#include "engine/nn/by_groups.h"

#include <doctest/doctest.h>

#include <atomic>

#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/nn/conv_bn.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/index.h"
#include "engine/ops/pool.h"
#include "engine/ops/shape_ops.h"
#include "tests/distance.h"

using namespace engine;
using test::relative_distance;

namespace {

Tensor images(int64_t n, MemoryFormat format = MemoryFormat::batch_lanes) {
  Generator random(static_cast<uint64_t>(n));
  Tensor x = Tensor::empty({n, 9, 8, 8});
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return contiguous(x, format);
}

struct Threads {
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};

}  // namespace

TEST_CASE("by_groups: the same as in one piece, for any batch, choice of rows and number of threads") {
  Conv2d conv({.in_channels = 9, .out_channels = 10, .conv = {.padding = 1}, .bias = false});
  BatchNorm2d bn({.channels = 10});
  bn.eval();
  const InferenceMode inference;
  const auto layer = [&](const Tensor& x) { return conv_bn(conv, bn, x, {.relu = true}); };
  const auto pooled = [&](const Tensor& x) { return global_avg_pool2d(layer(x)); };
  for (const MemoryFormat format : {MemoryFormat::batch_lanes, MemoryFormat::channels_last})
    for (const int64_t n : {1, 2, 6, 16, 17, 32, 64, 95, 130})
      for (const int threads : {1, 2, 3}) {
        const Threads guard(threads);
        const Tensor x = images(n, format);
        CAPTURE(n);
        CAPTURE(threads);
        CAPTURE(name(format));
        const Tensor y = by_groups(x, layer), whole = layer(x);
        CHECK(y.is_dense(format));
        // The same bits, but for images that are computed in the other format: 81 terms of a few units each.
        const int64_t left_over = n % images_per_group;
        const bool other = format == MemoryFormat::batch_lanes && left_over > 0 && left_over <= images_per_group / 2;
        const double most = other ? 1e-5 : 0;
        CHECK(relative_distance(y, whole) <= most);
        CHECK(relative_distance(by_groups(x, pooled), pooled(x)) <= most);

        std::vector<int64_t> rows;  // out of order, some twice
        for (int64_t i = 0; i < n; i += 3) rows.insert(rows.end(), {n - 1 - i, i});
        const Tensor index = Tensor::from(rows, {static_cast<int64_t>(rows.size())});
        const Tensor chosen = by_groups(x, layer, index);
        CHECK(chosen.is_dense(format));
        CHECK(relative_distance(chosen, index_select(whole, 0, index)) <= 1e-5);
        CHECK(relative_distance(by_groups(x, pooled, index), index_select(pooled(x), 0, index)) <= 1e-5);
      }
}

TEST_CASE("by_groups: threads work on single groups, in the caller's modes") {
  const Threads guard(2);
  const Tensor x = images(76);  // five groups: two for each thread, the last, of twelve images, for both
  std::atomic<int> calls = 0, right = 0;
  const auto observe = [&](const Tensor& part) {
    ++calls;
    right += part.size(0) == (num_threads() == 1 ? 16 : 12) && part.shares_storage(x) && InferenceMode::current() &&
             !grad_enabled() && autocast_dtype() == DType::bf16;
    return part;
  };
  {
    const InferenceMode inference;
    const Autocast autocast(DType::bf16);
    by_groups(x, observe);
  }
  CHECK(calls == 5);
  CHECK(right == 5);
  by_groups(x, observe);  // outside of InferenceMode gradients may be asked for: one call
  CHECK(calls == 6);
  const InferenceMode inference;
  profile::enable(true);
  by_groups(x, observe);
  profile::enable(false);
  CHECK(calls == 7);
  by_groups(contiguous(x), [&](const Tensor& all) { return ++calls, all; });
  CHECK(calls == 8);
}

TEST_CASE("by_groups: at most half a group is left to channels_last") {
  const Threads guard(2);
  const InferenceMode inference;
  const auto formats = [](const Tensor& x, const Tensor& rows) {  // images that were seen in either
    std::atomic<int64_t> lanes = 0, channels = 0;
    const auto count = [&](const Tensor& part) {
      (part.format() == MemoryFormat::batch_lanes ? lanes : channels) += part.size(0);
      return part;
    };
    const Tensor y = by_groups(x, count, rows);
    CHECK(y.is_dense(MemoryFormat::batch_lanes));
    CHECK(y.to<float>() == (rows.defined() ? index_select(x, 0, rows) : x).to<float>());
    return std::pair<int64_t, int64_t>(lanes, channels);
  };
  const Tensor x = images(56), y = images(57), ten = images(74);
  CHECK(formats(x, {}) == std::pair<int64_t, int64_t>(48, 8));
  CHECK(formats(y, {}) == std::pair<int64_t, int64_t>(57, 0));
  CHECK(formats(x, Tensor::arange(5)) == std::pair<int64_t, int64_t>(0, 5));
  CHECK(formats(x, Tensor::arange(12)) == std::pair<int64_t, int64_t>(12, 0));
  CHECK(formats(ten, Tensor::arange(39)) == std::pair<int64_t, int64_t>(32, 7));
  CHECK_THROWS_WITH_AS(formats(x, Tensor::full({3}, 56, {.dtype = DType::i64})),
                       doctest::Contains("index 56 is out of range for an axis of size 56"), Error);
}

TEST_CASE("by_groups: threads take several images of channels_last at a time") {
  const Threads guard(2);
  const InferenceMode inference;
  const Tensor x = images(14, MemoryFormat::channels_last);
  std::atomic<int> calls = 0, seen = 0;
  const Tensor y = by_groups(x, [&](const Tensor& part) {
    ++calls;
    seen += static_cast<int>(part.size(0));
    CHECK(part.size(0) <= 4);
    CHECK(part.shares_storage(x));
    return part;
  });
  CHECK(calls == 4);  // 4 and 3 on each thread
  CHECK(seen == 14);
  CHECK(y.to<float>() == x.to<float>());
}

TEST_CASE("for_branches: every branch once, at once where there are few images, in the caller's modes") {
  const Threads guard(2);
  const auto alone = [](const Tensor& x) {  // branches that ran on one thread of several
    std::atomic<int> calls[3] = {0, 0, 0}, alone = 0;
    for_branches(3, x, [&](int64_t i) {
      ++calls[i];
      alone += num_threads() == 1 && InferenceMode::current() && autocast_dtype() == DType::bf16;
    });
    for (const auto& count : calls) CHECK(count == 1);
    return static_cast<int>(alone);
  };
  const Autocast autocast(DType::bf16);
  const Tensor one = images(1, MemoryFormat::channels_last), two = images(2, MemoryFormat::channels_last);
  CHECK(alone(one) == 0);
  const InferenceMode inference;
  CHECK(alone(one) == 2);
  CHECK(alone(two) == 0);  // by_groups cuts them
  CHECK(alone(images(17)) == 0);
  profile::enable(true);
  CHECK(alone(one) == 0);
  profile::enable(false);
  CHECK_THROWS_WITH_AS(for_branches(2, one, [](int64_t i) { fail("branch", "number {}", i); }),
                       doctest::Contains("[branch] number"), Error);
}

TEST_CASE("by_groups: an error on any thread reaches the caller") {
  const Threads guard(2);
  const InferenceMode inference;
  const Tensor x = images(64);
  CHECK_THROWS_WITH_AS(by_groups(x,
                                 [&](const Tensor& part) -> Tensor {
                                   if (part.raw() == x.group_range(3, 4).raw()) fail("third", "group {}", 3);
                                   return part;
                                 }),
                       doctest::Contains("group 3"), Error);
}
