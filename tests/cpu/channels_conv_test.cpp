// Convolutions of channels_last images with vectors of channels, with the kernels of every instruction set this
// processor has, against the direct sum in f64.
#include "engine/cpu/channels/conv.h"

#include <doctest/doctest.h>

#include "engine/core/parallel.h"
#include "engine/core/random.h"
#include "engine/cpu/channels/conv_kernels.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "tests/distance.h"

using namespace engine;
using namespace engine::cpu;
using test::relative_distance;

namespace {

Tensor random_tensor(const Shape& shape, Generator& random) {
  Tensor t = Tensor::empty(shape);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = random.normal();
  return t;
}

Tensor last(const Tensor& x, DType dtype) { return contiguous(cast(x, dtype), MemoryFormat::channels_last); }
Tensor in_double(const Tensor& x) { return cast(contiguous(x), DType::f64); }

struct Problem {
  int64_t n, c, k, h, w;
  Pair kernel, stride, padding;

  std::string str() const {
    return fmt::format("{} images, {} to {} channels, {} x {}, kernel {} x {}, stride {} {}, padding {} {}", n, c, k, h,
                       w, kernel.h, kernel.w, stride.h, stride.w, padding.h, padding.w);
  }
  Conv2dOptions options() const { return {.stride = stride, .padding = padding}; }
  channels::Geometry geometry() const {
    return {.height = h,
            .width = w,
            .channels = c,
            .rows = (h + 2 * padding.h - kernel.h) / stride.h + 1,
            .columns = (w + 2 * padding.w - kernel.w) / stride.w + 1,
            .filters = k,
            .kernel_rows = kernel.h,
            .kernel_columns = kernel.w,
            .stride_rows = stride.h,
            .stride_columns = stride.w,
            .padding_rows = padding.h,
            .padding_columns = padding.w};
  }
};

// Any sizes within the limits whose direct sum takes milliseconds.
Problem random_problem(bool winograd, Generator& random) {
  const auto upto = [&](uint64_t most) { return static_cast<int64_t>(1 + random.below(most)); };
  for (;;) {
    Problem p{upto(4), upto(70), upto(70), upto(20), upto(20), 3, 1, 1};
    if (!winograd) {
      p.kernel = {upto(5), upto(5)};
      p.stride = {upto(3), upto(3)};
      p.padding = {upto(4) - 1, upto(4) - 1};
    }
    const channels::Geometry g = p.geometry();
    const bool fits = p.h + 2 * p.padding.h >= p.kernel.h && p.w + 2 * p.padding.w >= p.kernel.w;
    if (fits && p.n * p.c * p.k * g.rows * g.columns * g.kernel_rows * g.kernel_columns < 4'000'000) return p;
  }
}

struct Operands {
  Tensor x, w, bias, residual;
};

Operands operands_of(const Problem& p, Generator& random) {
  const channels::Geometry g = p.geometry();
  return {random_tensor({p.n, p.c, p.h, p.w}, random), random_tensor({p.k, p.c, p.kernel.h, p.kernel.w}, random),
          random_tensor({p.k}, random), random_tensor({p.n, p.k, g.rows, g.columns}, random)};
}

// relu(conv + bias + residual) in f64, of x and the residual as they are stored.
Tensor exact(const Operands& o, const Problem& p) {
  const Tensor y = kernels(Device{}).conv.forward(in_double(o.x), in_double(o.w), in_double(o.bias), o.residual.shape(),
                                                  p.options());
  return relu(y + in_double(o.residual));
}

// All of y, a few pieces and blocks at a time, as threads would.
template <class T>
Tensor by_kernels(const channels::ConvKernels& k, void (*forward)(const channels::Geometry&, const channels::Work<T>&),
                  const Operands& o, const Problem& p, Generator& random) {
  const channels::Geometry g = p.geometry();
  const Tensor y = empty_like(o.residual), weights = Tensor::empty({k.arranged(g)});
  k.arrange(o.w.data<float>(), g, weights.data<float>());
  const int64_t pieces = k.pieces(g) * p.n, blocks = k.blocks(g), few = 1 + static_cast<int64_t>(random.below(11));
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t i = 0; i < pieces; i += few) {
      const Tensor scratch = Tensor::empty({k.scratch(g, few)});
      forward(g, {.x = reinterpret_cast<const T*>(o.x.raw()),
                  .weights = weights.data<float>(),
                  .bias = o.bias.data<float>(),
                  .residual = reinterpret_cast<const T*>(o.residual.raw()),
                  .relu = true,
                  .y = reinterpret_cast<T*>(y.raw()),
                  .blocks = {b, b + 1},
                  .pieces = {i, std::min(pieces, i + few)},
                  .scratch = scratch.data<float>()});
    }
  return y;
}

// Winograd's transforms add and multiply by up to 8, twice: some ten times the rounding error of a direct f32 sum.
constexpr double winograd_tolerance = 3e-5, direct_tolerance = 3e-6;
// The result is rounded to 8 bits.
constexpr double bf16_tolerance = 1.0 / 256;

void check_kernels(const channels::ConvKernels& k, const Operands& o, const Problem& p, double tolerance,
                   Generator& random) {
  const Operands f32{last(o.x, DType::f32), o.w, o.bias, last(o.residual, DType::f32)};
  CHECK(relative_distance(by_kernels<float>(k, k.f32, f32, p, random), exact(f32, p)) < tolerance);
  const Operands bf16{last(o.x, DType::bf16), o.w, o.bias, last(o.residual, DType::bf16)};
  CHECK(relative_distance(by_kernels<uint16_t>(k, k.bf16, bf16, p, random), exact(bf16, p)) < bf16_tolerance);
}

}  // namespace

TEST_CASE("channels: kernels of every instruction set agree with the direct sum in double") {
  const uint64_t seed = 21;
  MESSAGE("seed " << seed);
  Generator random(seed);
  for (int i = 0; i < 30; ++i) {
    const bool winograd = i % 2 == 0;
    const Problem p = i == 0 ? Problem{1, 1, 1, 1, 1, 3, 1, 1} : random_problem(winograd, random);
    const std::string problem = p.str();
    CAPTURE(problem);
    const Operands o = operands_of(p, random);
    if (winograd)
      channels::winograd_kernels_per_isa.for_each(
          [&](const channels::ConvKernels& k) { check_kernels(k, o, p, winograd_tolerance, random); });
    else
      channels::direct_kernels_per_isa.for_each(
          [&](const channels::ConvKernels& k) { check_kernels(k, o, p, direct_tolerance, random); });
  }
}

TEST_CASE("channels: the same bits for any number of threads, with and without an epilogue") {
  Generator random(5);
  const int before = num_threads();
  for (const Problem& p : {Problem{1, 48, 48, 8, 8, 3, 1, 1}, Problem{3, 24, 40, 13, 9, 3, 1, 1},
                           Problem{2, 16, 24, 17, 16, 3, 2, 1}, Problem{1, 3, 16, 9, 32, 3, 1, 1}}) {
    const std::string problem = p.str();
    CAPTURE(problem);
    const Operands o = operands_of(p, random);
    const Tensor x = last(o.x, DType::f32);
    REQUIRE(channels::conv_covers(x, o.w.shape(), p.options()));
    for (const bool whole : {false, true}) {
      const ConvEpilogue epilogue{o.bias, whole ? o.residual : Tensor(), whole};
      std::vector<float> one;
      for (const int threads : {1, 2, 3, 7}) {
        set_num_threads(threads);
        ConstantWeights weights(o.w);
        const Tensor y = channels::conv_forward_fused(x, weights, epilogue, o.residual.shape(), p.options());
        CHECK(y.is_dense(MemoryFormat::channels_last));
        if (threads == 1) one = y.to<float>();
        CHECK(y.to<float>() == one);
        const Tensor sum = kernels(Device{}).conv.forward(in_double(o.x), in_double(o.w), in_double(o.bias),
                                                          o.residual.shape(), p.options());
        CHECK(relative_distance(y, whole ? relu(sum + in_double(o.residual)) : sum) < winograd_tolerance);
      }
      set_num_threads(before);
    }
  }
}

TEST_CASE("channels: what is covered") {
  const Tensor x = last(Tensor::zeros({1, 16, 8, 8}), DType::f32);
  const Conv2dOptions same{.padding = 1};
  CHECK(channels::conv_covers(x, {24, 16, 3, 3}, same));
  CHECK(channels::conv_covers(cast(x, DType::bf16), {24, 16, 3, 3}, same));
  CHECK_FALSE(channels::conv_covers(contiguous(x), {24, 16, 3, 3}, same));
  CHECK_FALSE(channels::conv_covers(cast(x, DType::f16), {24, 16, 3, 3}, same));
  CHECK_FALSE(channels::conv_covers(x, {24, 8, 3, 3}, {.padding = 1, .groups = 2}));
  CHECK_FALSE(channels::conv_covers(x, {24, 16, 3, 3}, {.padding = 2, .dilation = 2}));
  CHECK_FALSE(channels::conv_covers(x, {24, 16, 1, 1}, {}));
  CHECK_FALSE(channels::conv_covers(x, {8192, 16, 3, 3}, same));
}
