// Convolutions as they are described to cuDNN: keys, layouts, padding, sizes of every layer.
#include "engine/cuda/conv_problem.h"

#include <doctest/doctest.h>

#include <limits>
#include <unordered_set>

#include "tests/cuda/network_convs.h"

using namespace engine;
using namespace engine::cuda;

namespace {

ConvProblem example() {
  return {.pass = ConvPass::forward,
          .dtype = DType::bf16,
          .format = MemoryFormat::channels_last,
          .x = {8, 16, 32, 24},
          .w = {32, 16, 3, 1},
          .y = {8, 32, 32, 24},
          .options = {.stride = 1, .padding = {1, 0}}};
}

}  // namespace

TEST_CASE("the key of a convolution's plan tells all that a plan depends on") {
  std::vector<ConvProblem> different(1, example());
  const auto add = [&](auto change) {
    ConvProblem p = example();
    change(p);
    different.push_back(p);
  };
  add([](ConvProblem& p) { p.pass = ConvPass::backward_input; });
  add([](ConvProblem& p) { p.pass = ConvPass::backward_weight; });
  add([](ConvProblem& p) { p.dtype = DType::f16; });
  add([](ConvProblem& p) { p.format = MemoryFormat::contiguous; });
  add([](ConvProblem& p) { p.x[0] = p.y[0] = 9; });
  add([](ConvProblem& p) { p.x[2] = 33; });
  add([](ConvProblem& p) { p.w = {32, 16, 1, 3}; });
  add([](ConvProblem& p) { p.w[0] = p.y[1] = 64; });
  add([](ConvProblem& p) { p.options.stride = {1, 2}; });
  add([](ConvProblem& p) { p.options.stride = {2, 1}; });
  add([](ConvProblem& p) { p.options.padding = {0, 1}; });
  add([](ConvProblem& p) { p.options.dilation = 2; });
  add([](ConvProblem& p) { p.options.groups = 2; });
  add([](ConvProblem& p) { p.bias = true; });
  add([](ConvProblem& p) { p.residual = true; });
  add([](ConvProblem& p) { p.relu = true; });
  add([](ConvProblem& p) { p.tf32 = false; });
  add([](ConvProblem& p) { p.deterministic = true; });
  std::unordered_set<std::size_t> hashes;
  for (std::size_t i = 0; i < different.size(); ++i) {
    hashes.insert(ConvProblemHash()(different[i]));
    for (std::size_t j = 0; j < different.size(); ++j) CHECK((different[i] == different[j]) == (i == j));
  }
  CHECK(hashes.size() == different.size());
  CHECK(ConvProblemHash()(example()) == ConvProblemHash()(example()));
}

TEST_CASE("a convolution is described with the program's numerics") {
  const ConvProblem e = example();
  const auto describe = [&](DType dtype) {
    return describe_conv(ConvPass::forward, {e.x, e.w, e.y}, {.dtype = dtype, .format = e.format}, e.options);
  };
  CHECK(describe(DType::bf16) == e);
  CHECK(describe(DType::f32).tf32);
  allow_tf32(false);
  deterministic(true);
  CHECK(!describe(DType::f32).tf32);
  CHECK(describe(DType::f32).deterministic);
  CHECK(describe(DType::bf16).tf32);  // says nothing about 16-bit types: one plan for both
  set_tf32({});
  deterministic(false);
  CHECK(describe(DType::bf16) == e);
}

TEST_CASE("operands are described by the strides of their format") {
  const Shape w{32, 16, 3, 1};  // (K, C, R, S): (K, R, S, C) in memory for channels_last
  CHECK(conv_strides(w, MemoryFormat::channels_last) == ConvDims{48, 1, 16, 16});
  CHECK(conv_strides(w, MemoryFormat::contiguous) == ConvDims{48, 3, 1, 1});
  CHECK(conv_strides({8, 16, 32, 24}, MemoryFormat::channels_last) == ConvDims{12288, 1, 384, 16});
  CHECK(dims_of({8, 16, 32, 24}) == ConvDims{8, 16, 32, 24});
}

TEST_CASE("an image's three channels become 16 bytes for tensor cores, and nothing else is padded") {
  const Shape image{8, 3, 32, 32};
  const TensorOptions bf16{.dtype = DType::bf16, .format = MemoryFormat::channels_last};
  CHECK(padded_channels(image, bf16, 1) == 8);
  CHECK(padded_channels({8, 9, 32, 32}, bf16, 1) == 16);
  CHECK(padded_channels({8, 16, 32, 32}, bf16, 1) == 16);
  CHECK(padded_channels(image, {.dtype = DType::f16, .format = MemoryFormat::channels_last}, 1) == 8);
  CHECK(padded_channels(image, bf16, 3) == 3);
  CHECK(padded_channels(image, {.dtype = DType::bf16}, 1) == 3);
  const TensorOptions f32{.format = MemoryFormat::channels_last};
  CHECK(padded_channels(image, f32, 1) == 4);
  CHECK(padded_channels({8, 9, 32, 32}, f32, 1) == 12);
  CHECK(padded_channels(image, f32, 3) == 3);
  CHECK(padded_channels(image, {}, 1) == 3);
  CHECK(padded_channels(image, {.dtype = DType::f64, .format = MemoryFormat::channels_last}, 1) == 3);
  allow_tf32(false);
  CHECK(padded_channels(image, f32, 1) == 3);
  CHECK(padded_channels(image, bf16, 1) == 8);
  set_tf32({});
}

TEST_CASE("every layer's operands are aligned for tensor cores and small enough for 32-bit positions") {
  const auto& convs = network_convs();
  CHECK(convs.size() > 40);
  for (const NetworkConv& c : convs) {
    CAPTURE(c.network);
    CAPTURE(c.x.str());
    CAPTURE(c.w.str());
    const TensorOptions bf16{.dtype = DType::bf16, .format = MemoryFormat::channels_last};
    const int64_t channels = padded_channels(c.x, bf16, c.options.groups);
    CHECK(channels % 8 == 0);
    CHECK(padded_channels(c.x, {.format = MemoryFormat::channels_last}, c.options.groups) % 4 == 0);
    CHECK(c.y[1] % 8 == 0);
    CHECK(c.x[1] == c.w[1] * c.options.groups);
    for (const Shape& shape : {c.x.replaced(1, channels), c.w, c.y})
      CHECK(shape.numel() <= std::numeric_limits<int32_t>::max());
  }
}
