// by_groups gives what one call gives, for every batch and number of threads, in the modes of the caller.
#include "engine/nn/by_groups.h"

#include <doctest/doctest.h>

#include <atomic>

#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/nn/conv_bn.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/pool.h"
#include "engine/ops/shape_ops.h"

using namespace engine;

namespace {

Tensor images(int64_t n) {
  Generator random(static_cast<uint64_t>(n));
  Tensor x = Tensor::empty({n, 9, 8, 8});
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = random.normal();
  return contiguous(x, MemoryFormat::batch_lanes);
}

struct Threads {
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};

}  // namespace

TEST_CASE("by_groups: the same bits as in one piece, for any batch and number of threads") {
  Conv2d conv({.in_channels = 9, .out_channels = 10, .conv = {.padding = 1}, .bias = false});
  BatchNorm2d bn({.channels = 10});
  bn.eval();
  const InferenceMode inference;
  const auto layer = [&](const Tensor& x) { return conv_bn(conv, bn, x, {.relu = true}); };
  const auto pooled = [&](const Tensor& x) { return global_avg_pool2d(layer(x)); };
  for (const int64_t n : {1, 16, 17, 32, 64, 95, 130})
    for (const int threads : {1, 2, 3}) {
      const Threads guard(threads);
      const Tensor x = images(n);
      CAPTURE(n);
      CAPTURE(threads);
      const Tensor y = by_groups(x, layer);
      CHECK(y.is_dense(MemoryFormat::batch_lanes));
      CHECK(y.groups().to<float>() == layer(x).groups().to<float>());
      CHECK(by_groups(x, pooled).to<float>() == pooled(x).to<float>());
    }
}

TEST_CASE("by_groups: threads work on single groups, in the caller's modes") {
  const Threads guard(2);
  const Tensor x = images(70);  // five groups: two for each thread, the last, of six images, for both
  std::atomic<int> calls = 0, right = 0;
  const auto observe = [&](const Tensor& part) {
    ++calls;
    right += part.size(0) == (num_threads() == 1 ? 16 : 6) && part.shares_storage(x) && InferenceMode::current() &&
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
