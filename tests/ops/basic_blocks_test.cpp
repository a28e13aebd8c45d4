// A stage of basic blocks as one op, against its convolutions and batch norms one after the other.
#include "engine/ops/basic_blocks.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "tests/cpu/lanes.h"
#include "tests/distance.h"
#include "tests/error_of.h"

using namespace engine;
using lanes_test::normal;
using test::relative_distance;

namespace {

ConvNorm layer(int64_t channels, int64_t filters, Pair stride, uint64_t stream) {
  ConvNorm l{normal({filters, channels, 3, 3}, stream),
             {.stride = stride, .padding = 1},
             normal({filters}, stream + 1),
             normal({filters}, stream + 2),
             Tensor::zeros({filters}),
             Tensor::full({filters}, 1)};
  for (Tensor* t : {&l.w, &l.weight, &l.bias}) t->set_requires_grad();
  return l;
}

using Blocks = std::span<const BasicBlockLayers>;

Tensor conv_norm(const Tensor& x, const ConvNorm& l, const Tensor& residual) {
  return batch_norm(conv2d(x, l.w, {}, l.conv), l.weight, l.bias, l.running_mean, l.running_var,
                    {.residual = residual, .relu = true});
}
Tensor separate(const Tensor& x, const Tensor& shortcut, Blocks blocks) {
  Tensor h = x, residual = shortcut;
  for (const auto& [first, second] : blocks) residual = h = conv_norm(conv_norm(h, first, {}), second, residual);
  return h;
}

struct Problem {
  Shape x;
  Pair stride;
  int blocks;
  bool identity;  // x is the shortcut, another image elsewhere
  bool shared;    // x and y have other readers
};

// The same numbers in any type.
Tensor rounded(const Tensor& x, DType dtype) { return cast(cast(x, DType::bf16), dtype); }

// y, and the gradients of everything; the running statistics last.
std::vector<Tensor> run(decltype(separate)* stage, const Problem& p, DType dtype, MemoryFormat format, uint64_t draw) {
  const auto image = [&](const Shape& shape, uint64_t stream) {
    return contiguous(rounded(normal(shape, 1000 * draw + stream), dtype), format).set_requires_grad();
  };
  const int64_t channels = p.x[1], filters = p.identity ? channels : 10;
  std::vector<BasicBlockLayers> blocks{{layer(channels, 11, p.stride, 10), layer(11, filters, 1, 20)}};
  for (int i = 1; i < p.blocks; ++i)
    blocks.push_back({layer(filters, filters, 1, 30 + 20 * i), layer(filters, filters, 1, 40 + 20 * i)});
  const Tensor x = image(p.x, 1);
  const Shape y_shape = conv2d_shape(x, Tensor::zeros({filters, channels, 3, 3}), blocks[0].first.conv);
  const Tensor other = p.identity ? Tensor() : image(y_shape, 2);
  const Tensor h = x * 0.5;  // no leaf: its gradient passes through the walk
  const Tensor y = stage(h, p.identity ? h : other, blocks);
  const Tensor out = p.shared ? y + y * h : y;
  out.backward(contiguous(rounded(normal(out.shape(), 5), dtype), format));
  std::vector<Tensor> all{y, x.grad()};
  if (other.defined()) all.push_back(other.grad());
  for (const BasicBlockLayers& block : blocks)
    for (const ConvNorm* l : {&block.first, &block.second}) {
      for (const Tensor* t : {&l->w, &l->weight, &l->bias}) all.push_back(t->grad());
      all.insert(all.end(), {l->running_mean, l->running_var});
    }
  return all;
}

}  // namespace

TEST_CASE("basic_blocks is its convolutions and batch norms: values, gradients and statistics") {
  const std::vector<Problem> problems{{{19, 12, 9, 6}, 1, 1, true, false},
                                      {{32, 9, 8, 8}, 1, 1, true, true},
                                      {{19, 12, 9, 6}, 2, 1, false, false},
                                      {{19, 8, 6, 5}, 1, 3, true, true},
                                      {{33, 9, 8, 8}, 2, 2, false, false}};
  for (const MemoryFormat format : {MemoryFormat::batch_lanes, MemoryFormat::channels_last})
    for (const Problem& p : problems) {
      CAPTURE(p.x.str());
      CAPTURE(p.blocks);
      const auto distances = [](const std::vector<Tensor>& got, const std::vector<Tensor>& wanted) {
        std::vector<double> all;
        for (std::size_t i = 0; i < wanted.size(); ++i) all.push_back(relative_distance(got[i], wanted[i]));
        return all;
      };
      // Where rounding moves a value across ReLU's zero gradients differ by percents: that is rare, so one of some
      // draws agrees.
      std::vector<Tensor> exact, f32;
      double worst = 1;
      for (uint64_t draw = 0; draw < 5 && !(worst < 3e-5 * p.blocks); ++draw) {
        exact = run(separate, p, DType::f32, format, draw);
        f32 = run(basic_blocks, p, DType::f32, format, draw);
        worst = std::ranges::max(distances(f32, exact));
        CHECK(worst < 0.3);
      }
      CHECK(worst < 3e-5 * p.blocks);
      // The separate ops round what lies between, forward and backward: as one they are no further off, all together.
      std::vector<Tensor> bf16;
      double off = 0, parts_off = 0;
      for (uint64_t draw = 0; draw < 4; ++draw) {
        exact = run(separate, p, DType::f32, format, draw);
        bf16 = run(basic_blocks, p, DType::bf16, format, draw);
        for (const double d : distances(bf16, exact)) off += d;
        for (const double d : distances(run(separate, p, DType::bf16, format, draw), exact)) parts_off += d;
      }
      CHECK(off < 1.2 * parts_off);
      if (format == MemoryFormat::batch_lanes)
        for (const auto& result : {f32, bf16})
          for (const Tensor& t : {result[0], result[1]}) lanes_test::check_padding(t, "stage");
    }
}

TEST_CASE("basic_blocks writes into no gradient that another holds") {
  for (const int64_t blocks : {1, 2}) {
    std::vector<BasicBlockLayers> stage;
    for (int64_t i = 0; i < blocks; ++i) stage.push_back({layer(9, 9, 1, 10), layer(9, 9, 1, 20)});
    const Tensor x = contiguous(normal({16, 9, 8, 8}, 1), MemoryFormat::batch_lanes).set_requires_grad();
    const Tensor y = basic_blocks(x, x, stage), dy = contiguous(normal(y.shape(), 2), MemoryFormat::batch_lanes);
    const std::vector<float> before = dy.to<float>();
    y.backward(dy);
    CHECK(dy.to<float>() == before);
  }
}

TEST_CASE("basic_blocks without a block is an error") {
  const Tensor x = normal({16, 9, 8, 8}, 1);
  CHECK(contains(error_of([&] { basic_blocks(x, x, {}); }), "[basic_blocks] needs at least one block"));
}
