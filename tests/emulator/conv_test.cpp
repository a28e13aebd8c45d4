// Convolution on the device beside the CPU's: what conv.cpp gives to cuDNN and makes of its results.
#include <doctest/doctest.h>

#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "tests/distance.h"
#include "tests/emulator/compare.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::test;

namespace {

struct Case {
  Shape x, w;
  Conv2dOptions options = {};

  Shape y() const {
    const auto size = [](int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
      return (in + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
    };
    const Conv2dOptions& o = options;
    return {x[0], w[0], size(x[2], w[2], o.stride.h, o.padding.h, o.dilation.h),
            size(x[3], w[3], o.stride.w, o.padding.w, o.dilation.w)};
  }
};

const std::vector<Case> cases{
    {{2, 16, 5, 7}, {24, 16, 3, 3}, {.padding = 1}},
    {{2, 3, 9, 8}, {8, 3, 3, 3}, {.stride = 2, .padding = 1}},  // an image: padded for 16-bit types
    {{3, 1, 6, 6}, {4, 1, 3, 3}, {}},                           // lies in both formats
    {{2, 8, 6, 6}, {8, 8, 1, 1}, {.stride = 2}},                // weights that lie in both
    {{2, 12, 7, 7}, {6, 4, 3, 2}, {.stride = {1, 2}, .padding = {2, 0}, .groups = 3}},
    {{1, 5, 11, 7}, {7, 5, 3, 2}, {.padding = {0, 1}, .dilation = {2, 3}}},
};

Tensor on(const Tensor& x, Device device) { return x.defined() ? x.to(device) : x; }

// 16-bit: dw and the bias are rounded to the type on the device alone. f32: cuDNN may take Winograd's way.
double tolerance(DType dtype) {
  return dtype == DType::f64 ? 1e-12 : dtype == DType::f32 ? 4e-5 : dtype == DType::f16 ? 2e-3 : 1.6e-2;
}

TensorOptions parameters(DType dtype) { return {.dtype = dtype == DType::f64 ? DType::f64 : DType::f32}; }

// Calls check(case, options of x) for every case, type and format.
template <class F>
void for_all(F&& check) {
  for (const Case& c : cases)
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64})
      for (const MemoryFormat format : {MemoryFormat::channels_last, MemoryFormat::contiguous}) {
        CAPTURE(c.x.str());
        CAPTURE(c.w.str());
        CAPTURE(name(dtype));
        CAPTURE(name(format));
        check(c, TensorOptions{.dtype = dtype, .format = format});
      }
}

}  // namespace

TEST_CASE("convolution on the device gives what the CPU gives, with and without a bias") {
  DEVICE_OR_SKIP(device);
  for_all([&](const Case& c, const TensorOptions& options) {
    const Tensor x = pattern(c.x, options, 1), w = pattern(c.w, parameters(options.dtype), 2);
    for (const Tensor& bias : {Tensor(), pattern({c.w[0]}, parameters(options.dtype), 3)}) {
      const Tensor want = kernels(x).conv.forward(x, w, bias, c.y(), c.options);
      const Tensor got = kernels(device).conv.forward(x.to(device), w.to(device), on(bias, device), c.y(), c.options);
      CHECK(got.dtype() == options.dtype);
      const bool both = x.is_dense(MemoryFormat::channels_last);  // a contiguous image of one channel is
      CHECK(got.is_dense(both ? MemoryFormat::channels_last : options.format));
      CHECK(relative_distance(got, want) < tolerance(options.dtype));
    }
  });
}

TEST_CASE("the gradients of a convolution") {
  DEVICE_OR_SKIP(device);
  for_all([&](const Case& c, const TensorOptions& options) {
    const Tensor x = pattern(c.x, options, 1), w = pattern(c.w, parameters(options.dtype), 2);
    const Tensor dy = pattern(c.y(), options, 3), onto = pattern(c.x, options, 4);
    const ConvKernels &cpu = kernels(x).conv, &cuda = kernels(device).conv;
    const double close = tolerance(options.dtype);
    const Tensor dw = cuda.backward_weight(dy.to(device), x.to(device), c.w, c.options, nullptr);
    CHECK(dw.dtype() == parameters(options.dtype).dtype);
    CHECK(dw.is_contiguous());
    CHECK(relative_distance(dw, cpu.backward_weight(dy, x, c.w, c.options, nullptr)) < close);
    const Tensor dx = cuda.backward_input(dy.to(device), w.to(device), c.x, c.options, {});
    CHECK(dx.dtype() == options.dtype);
    CHECK(relative_distance(dx, cpu.backward_input(dy, w, c.x, c.options, {})) < close);
    const Tensor sum = cuda.backward_input(dy.to(device), w.to(device), c.x, c.options, onto.to(device));
    const ConvGradients both =
        cuda.backward({.g = dy.to(device)}, x.to(device), w.to(device), c.options, onto.to(device));
    CHECK(relative_distance(sum, cpu.backward_input(dy, w, c.x, c.options, onto)) < close);  // adds to onto
    CHECK(both.dx.to<double>() == sum.to<double>());
    CHECK(both.dw.to<double>() == dw.to<double>());
  });
}

TEST_CASE("the gradients of a convolution and of the batch norm before it") {
  DEVICE_OR_SKIP(device);
  const Case& c = cases[0];
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const TensorOptions options{.dtype = dtype, .format = MemoryFormat::channels_last};
    const Tensor w = pattern(c.w, {}, 2), dy = pattern(c.y(), options, 3);
    BatchNormSaved here;
    here.x = pattern(c.x, options, 1);
    here.mean = pattern({c.x[1]}, {}, 4), here.inv_std = Tensor::full({c.x[1]}, 1.25);
    here.weight = pattern({c.x[1]}, {}, 5), here.bias = pattern({c.x[1]}, {}, 6);
    here.relu = true;
    here.y = empty_like(here.x);
    kernels(w).norm.normalize(here.x, here.mean, here.inv_std, here.weight, here.bias, {}, true, here.y);
    BatchNormSaved there = here;
    for (Tensor* t : {&there.x, &there.y, &there.mean, &there.inv_std, &there.weight, &there.bias}) *t = t->to(device);
    const Tensor onto = pattern(c.x, options, 7), onto_there = onto.to(device);
    const ConvNormGradients want = kernels(w).conv.backward_norm({.g = dy}, w, c.options, here, nullptr, onto);
    const ConvNormGradients got =
        kernels(device).conv.backward_norm({.g = dy.to(device)}, w.to(device), c.options, there, nullptr, onto_there);
    const double close = 4 * tolerance(dtype);  // sums over the results
    CHECK_FALSE(got.norm.dx.a.defined());
    CHECK(relative_distance(got.norm.dx.g, want.norm.dx.g) < close);
    CHECK(relative_distance(got.norm.dweight, want.norm.dweight) < close);
    CHECK(relative_distance(got.norm.dbias, want.norm.dbias) < close);
    CHECK(relative_distance(got.dw, want.dw) < close);
  }
  const Tensor dy = pattern(c.y(), {}, 3).to(device), values = Tensor::full({c.w[0]}, 1).to(device);
  CHECK(contains(error_of([&] {
                   kernels(device).conv.backward({dy, dy, values, values, values}, pattern(c.x, {}, 1).to(device),
                                                 pattern(c.w, {}, 2).to(device), c.options, {});
                 }),
                 "[conv2d backward] takes no gradient that is still to be made"));
}

TEST_CASE("convolution with moments") {
  DEVICE_OR_SKIP(device);
  const Case& c = cases[0];
  const Tensor x = pattern(c.x, {.dtype = DType::bf16, .format = MemoryFormat::channels_last}, 1);
  const Tensor w = pattern(c.w, {}, 2);
  ChannelMoments want, got;
  kernels(x).conv.forward_with_moments(x, w, c.y(), c.options, nullptr, want);
  kernels(device).conv.forward_with_moments(x.to(device), w.to(device), c.y(), c.options, nullptr, got);
  CHECK(relative_distance(got.mean, want.mean) < 1e-2);
  CHECK(relative_distance(got.variance, want.variance) < 1e-2);
  const NormalizedInput input;
  CHECK(contains(error_of([&] {
                   kernels(device).conv.forward_with_moments(x.to(device), w.to(device), c.y(), c.options, &input, got);
                 }),
                 "[conv2d with moments] takes no input that is still to be normalised"));
}

TEST_CASE("convolution, bias, residual and ReLU in one pass, over weights that are arranged once") {
  DEVICE_OR_SKIP(device);
  for_all([&](const Case& c, const TensorOptions& options) {
    const Tensor x = pattern(c.x, options, 1), w = pattern(c.w, parameters(options.dtype), 2);
    ConstantWeights weights(w), there(w.to(device));
    ConvEpilogue epilogue{.bias = pattern({c.w[0]}, parameters(options.dtype), 3)};
    for (const bool residual : {false, true})
      for (const bool relu : {false, true}) {
        epilogue.residual = residual ? pattern(c.y(), options, 4) : Tensor();
        epilogue.relu = relu;
        const Tensor want = kernels(x).conv.forward_fused(x, weights, epilogue, c.y(), c.options);
        const ConvEpilogue on_device{on(epilogue.bias, device), on(epilogue.residual, device), relu};
        const Tensor got = kernels(device).conv.forward_fused(x.to(device), there, on_device, c.y(), c.options);
        CHECK(relative_distance(got, want) < tolerance(options.dtype));
      }
    CHECK(there.copies() <= 1);
  });
}

TEST_CASE("convolution of views, of 16-bit weights and of nothing") {
  DEVICE_OR_SKIP(device);
  const ConvKernels &cpu = kernels(Device{}).conv, &cuda = kernels(device).conv;
  const Case& c = cases[0];
  const TensorOptions last{.dtype = DType::bf16, .format = MemoryFormat::channels_last};
  const Tensor wide = pattern({2, 17, 6, 8}, last, 1), w = pattern(c.w, {.dtype = DType::bf16}, 2);
  const Tensor x = wide.as_strided(c.x, wide.strides(), 1);  // neither dense nor aligned
  const Tensor got =
      cuda.forward(wide.to(device).as_strided(c.x, wide.strides(), 1), w.to(device), {}, c.y(), c.options);
  CHECK(relative_distance(got, cpu.forward(x, w, {}, c.y(), c.options)) < tolerance(DType::bf16));

  const Tensor none = Tensor::empty({0, 16, 5, 7}, {.device = device, .format = MemoryFormat::channels_last});
  const Tensor weight = w.to(device);
  const Shape no_y = c.y().replaced(0, 0);
  CHECK(cuda.forward(none, weight, {}, no_y, c.options).shape() == no_y);
  const Tensor no_dy = Tensor::empty(no_y, {.device = device});
  CHECK(cuda.backward_input(no_dy, weight, none.shape(), c.options, {}).shape() == none.shape());
  const Tensor dw = cuda.backward_weight(no_dy, none, c.w, c.options, nullptr);
  CHECK(dw.to<float>() == std::vector<float>(static_cast<std::size_t>(c.w.numel()), 0));
}
