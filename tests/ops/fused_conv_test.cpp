// conv2d_fused against conv2d, an addition and a ReLU, in every format and type, and over weights that it arranged.
#include <doctest/doctest.h>

#include "engine/autograd/autocast.h"
#include "engine/ops/conv.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "tests/cpu/lanes.h"
#include "tests/error_of.h"
#include "tests/ops/cases.h"

using namespace engine;
using namespace engine::test;

namespace {

struct Row {
  const char* name;
  Shape x, w;
  Conv2dOptions options = {};
};

const std::vector<Row> rows = {
    {"3x3", {2, 16, 9, 7}, {24, 16, 3, 3}, {.padding = 1}},
    {"3x3 stride", {2, 16, 9, 7}, {24, 16, 3, 3}, {.stride = 2, .padding = 1}},
    {"stem", {1, 3, 8, 8}, {16, 3, 3, 3}, {.padding = 1}},
    {"1x1", {3, 7, 5, 5}, {13, 7, 1, 1}},
    {"7x7 stride", {1, 3, 17, 15}, {8, 3, 7, 7}, {.stride = 2, .padding = 3}},
    {"groups", {2, 8, 5, 5}, {12, 4, 3, 3}, {.padding = 1, .groups = 2}},
    {"one value", {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"more than a lane group", {17, 5, 6, 6}, {4, 5, 3, 3}, {.padding = 1}},
    {"more than a lane group, by Winograd", {18, 16, 6, 5}, {24, 16, 3, 3}, {.padding = 1}},
    {"empty batch", {0, 3, 5, 5}, {4, 3, 3, 3}, {.padding = 1}},
};

struct Operands {
  Tensor x, w, bias, residual;
};

Operands operands_of(const Row& row, DType dtype) {
  Case c{row.name, {{row.x}, {row.w, -0.3, 0.3}, {{row.w[0]}}}, {}, 0};
  const std::vector<Tensor> first = make_inputs(c, dtype);
  const Shape y = conv2d(first[0], first[1], {}, row.options).shape();
  c.inputs.push_back({y});
  const std::vector<Tensor> in = make_inputs(c, dtype);
  return {in[0], in[1], in[2], in[3]};
}

Tensor in_steps(const Operands& o, const ConvEpilogue& epilogue, const Conv2dOptions& options) {
  Tensor y = conv2d(o.x, o.w, o.bias, options);
  if (epilogue.residual.defined()) y = y + epilogue.residual;
  return epilogue.relu ? relu(y) : y;
}

}  // namespace

TEST_CASE("conv2d_fused gives conv2d + residual through ReLU, in every format") {
  for (const Row& row : rows) {
    for (const MemoryFormat format :
         {MemoryFormat::contiguous, MemoryFormat::channels_last, MemoryFormat::batch_lanes}) {
      const Operands o = operands_of(row, DType::f32);
      ConstantWeights weights(o.w);
      for (const bool residual : {false, true})
        for (const bool relu : {false, true}) {
          const ConvEpilogue plain{o.bias, residual ? o.residual : Tensor(), relu};
          ConvEpilogue epilogue = plain;
          if (residual) epilogue.residual = contiguous(o.residual, format);
          const Tensor y = conv2d_fused(contiguous(o.x, format), weights, epilogue, row.options);
          CHECK_MESSAGE(y.is_dense(format), row.name, ": ", y.str());
          if (format == MemoryFormat::batch_lanes && y.numel() > 0) lanes_test::check_padding(y, row.name);
          // Sums of up to 150 products below 0.3; Winograd's transforms lose a digit of that.
          const double error = difference(contiguous(y), in_steps(o, plain, row.options));
          CHECK_MESSAGE(error < 2e-5, row.name, " in ", name(format), ", residual ", residual, ", relu ", relu,
                        ": off by ", error);
        }
    }
  }
}

TEST_CASE("conv2d_fused in 16 bits rounds the result once more than f32 does") {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    const double rounding = dtype == DType::bf16 ? 0x1p-8 : 0x1p-11;
    Operands o = operands_of(rows[0], DType::f32);
    o.w = cast(cast(o.w, dtype), DType::f32);  // 16 bits hold them: some processors multiply them so
    ConstantWeights weights(o.w);
    const Tensor x = cast(o.x, dtype), residual = cast(o.residual, dtype);
    const Tensor y = conv2d_fused(x, weights, {o.bias, residual, true}, rows[0].options);
    CHECK(y.dtype() == dtype);
    const Operands rounded{cast(x, DType::f32), o.w, o.bias, {}};
    const Tensor expected = in_steps(rounded, {o.bias, cast(residual, DType::f32), true}, rows[0].options);
    CHECK(difference(cast(y, DType::f32), expected) < rounding);
  }
  const Operands o = operands_of(rows[0], DType::f32);
  ConstantWeights weights(o.w);
  const Autocast autocast(DType::bf16);
  CHECK(conv2d_fused(o.x, weights, {o.bias}, rows[0].options).dtype() == DType::bf16);
}

TEST_CASE("conv2d_fused in f64 agrees with conv2d") {
  const Operands o = operands_of(rows[1], DType::f64);
  ConstantWeights weights(o.w);
  const ConvEpilogue epilogue{o.bias, o.residual, true};
  CHECK(difference(conv2d_fused(o.x, weights, epilogue, rows[1].options), in_steps(o, epilogue, rows[1].options)) <
        1e-12);
}

TEST_CASE("conv2d_fused keeps one arrangement of the weights for all batches") {
  const Row& row = rows[0];
  const Operands o = operands_of(row, DType::f32);
  ConstantWeights weights(o.w);
  std::size_t arrangements = 0;
  for (const int64_t n : {1, 2, 5}) {
    const Tensor x = contiguous(Tensor::full({n, 16, 9, 7}, 0.5), MemoryFormat::channels_last);
    const Tensor y = conv2d_fused(x, weights, {o.bias}, row.options);
    CHECK(difference(y, conv2d(x, o.w, o.bias, row.options)) < 2e-5);
    if (n == 1) arrangements = weights.copies();
  }
  CHECK(weights.copies() == arrangements);
  CHECK(arrangements <= 1);
}

TEST_CASE("conv2d_fused refuses what it can't do") {
  const Operands o = operands_of(rows[0], DType::f32);
  ConstantWeights weights(o.w);
  const Conv2dOptions& options = rows[0].options;
  Tensor x = o.x.detach();
  x.set_requires_grad();
  CHECK(contains(error_of([&] { conv2d_fused(x, weights, {o.bias}, options); }), "has no gradient"));
  {
    const NoGradGuard no_grad;
    CHECK(error_of([&] { conv2d_fused(x, weights, {o.bias}, options); }).empty());
  }
  CHECK(contains(error_of([&] { conv2d_fused(o.x, weights, {}, options); }), "needs a bias of (24,)"));
  CHECK(contains(error_of([&] { conv2d_fused(o.x, weights, {o.bias, o.x}, options); }), "residual (2, 16, 9, 7)"));
  CHECK(contains(error_of([&] {
                   conv2d_fused(o.x, weights, {o.bias, cast(o.residual, DType::bf16)}, options);
                 }),
                 "input is f32, residual is bf16"));
}
