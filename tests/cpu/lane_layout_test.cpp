// Conversions into and out of batch_lanes, and element-wise ops on it.
#include <doctest/doctest.h>

#include "engine/core/profile.h"
#include "engine/cpu/lanes/layout_kernels.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "tests/cpu/lanes.h"

using namespace engine;
using namespace lanes_test;

namespace {

const int64_t batches[] = {1, 2, 7, 15, 16, 17, 31, 32, 33};
// (C, H, W): elements below, at and beyond the vector widths, more than one piece of work, a network's input image.
const Shape images[] = {{1, 1, 1}, {3, 5, 7}, {5, 1, 3}, {16, 4, 4}, {17, 3, 2}, {3, 32, 32}};

Shape batch_of(int64_t n, const Shape& image) { return image.inserted(0, n); }

std::vector<double> values(const Tensor& x) { return x.to<double>(); }

}  // namespace

TEST_CASE("batch_lanes: there and back again in every type and from every layout") {
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::u8, DType::boolean})
    for (const int64_t n : batches)
      for (const Shape& image : images) {
        const Tensor x = cast(abs(normal(batch_of(n, image), 1)) * 100, dtype);
        for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
          const Tensor y = in_lanes(contiguous(x, format));
          check_padding(y, "to batch_lanes");
          CHECK(values(y) == values(x));
          const Tensor back = contiguous(y, format);
          CHECK(back.is_dense(format));
          CHECK(values(back) == values(x));
        }
      }
}

TEST_CASE("batch_lanes: conversions of views, and into views") {
  const Tensor x = normal({5, 6, 4, 3}, 2);
  const Tensor view = permute(x, {3, 1, 2, 0});
  CHECK(values(in_lanes(view)) == values(view));
  const Tensor expanded = expand_to(normal({1, 6, 1, 1}, 3), {18, 6, 2, 2});
  CHECK(values(in_lanes(expanded)) == values(expanded));
  const Tensor target = Tensor::zeros({7, 6, 4, 3});
  copy_into(in_lanes(x), slice(target, {.start = 1, .end = 6}));
  CHECK(values(slice(target, {.start = 1, .end = 6})) == values(x));
  CHECK(values(slice(target, {.start = 6})) == std::vector<double>(72, 0.0));
  CHECK(in_lanes(Tensor::zeros({0, 3, 2, 2})).numel() == 0);
  CHECK(contiguous(in_lanes(Tensor::zeros({0, 3, 2, 2}))).numel() == 0);
}

TEST_CASE("batch_lanes: 16-bit values keep every bit, NaN included") {
  const Tensor x = Tensor::empty({16, 1, 64, 64}, {.dtype = DType::bf16});
  for (int64_t i = 0; i < 1 << 16; ++i) x.data<bfloat16>()[i].bits = static_cast<uint16_t>(i);
  const Tensor back = contiguous(in_lanes(x));
  int64_t changed = 0;
  for (int64_t i = 0; i < 1 << 16; ++i) changed += back.data<bfloat16>()[i].bits != i;
  CHECK(changed == 0);
}

TEST_CASE("batch_lanes: layout kernels of every instruction set") {
  const int64_t n = 45;
  const cpu::LanePlaces places{5, 9 * 16, 16};
  cpu::layout_kernels_per_isa.for_each([&](const cpu::LayoutKernels& kernels) {
    CAPTURE(kernels.isa);
    for (const int count : {1, 5, 8, 13, 16}) {
      const Tensor x = normal({16, n}, 4), group = Tensor::full({n, 16}, 7), back = Tensor::full({16, n}, 7);
      const float* px = x.data<float>();
      kernels.f32.to_lanes(px, n, count, 0, n, places, group.data<float>());
      kernels.f32.from_lanes(group.data<float>(), places, 0, n, back.data<float>(), n, count);
      int64_t wrong = 0;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t k = 0; k < 16; ++k) {
          wrong += group.data<float>()[i % 5 * 9 * 16 + i / 5 * 16 + k] != (k < count ? px[k * n + i] : 0);
          wrong += back.data<float>()[k * n + i] != (k < count ? px[k * n + i] : 7);
        }
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("batch_lanes: every instruction set's choice of images, bit for bit") {
  constexpr int64_t n = 7, groups = 16;
  const auto check_select = [&]<class T>(const cpu::LayoutFunctions<T>& kernels, int count, int from) {
    const Tensor tx = normal({groups * n * 16}, 1), ty = Tensor::full({(n + 2) * 16}, 0);  // aligned memory
    T *x = reinterpret_cast<T*>(tx.raw()), *y = reinterpret_cast<T*>(ty.raw());
    for (int64_t i = 0; i < groups * n * 16; ++i) x[i] = static_cast<T>(0x3f80 + i);  // all different
    std::fill_n(y, (n + 2) * 16, T(3));
    cpu::LaneSources sources;
    sources.count = from;
    for (int s = 0; s < from; ++s) {
      sources.group[s] = (groups - 1 - s) * n * 16;
      for (int k = 0; k < 16; ++k) sources.lane[s][k] = k < count && k % from == s ? (5 * k + s) % 16 : -1;
    }
    kernels.select(x, sources, 1, n, y);
    int64_t wrong = 0;
    for (int64_t i = 0; i < n + 2; ++i)
      for (int k = 0; k < 16; ++k) {
        const int s = k % from;
        T wanted = T(3);
        if (i >= 1 && i < n) wanted = k < count ? x[(groups - 1 - s) * n * 16 + i * 16 + (5 * k + s) % 16] : T(0);
        wrong += y[i * 16 + k] != wanted;
      }
    CHECK(wrong == 0);
  };
  cpu::layout_kernels_per_isa.for_each([&](const cpu::LayoutKernels& kernels) {
    CAPTURE(kernels.isa);
    for (const int count : {1, 8, 9, 16})
      for (const int from : {1, 2, 3, 16}) {
        check_select(kernels.f32, count, from);
        check_select(kernels.bits16, count, from);
      }
  });
}

TEST_CASE("batch_lanes: casts keep the format, conversions have gradients and names") {
  Tensor x = normal({5, 3, 2, 2}, 5);
  x.set_requires_grad();
  profile::reset();
  profile::enable(true);
  const Tensor y = cast(in_lanes(x), DType::bf16);
  profile::enable(false);
  check_padding(y, "cast");
  std::vector<std::string> names;
  for (const profile::Row& row : profile::rows()) names.push_back(row.name);
  profile::reset();
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"convert contiguous -> batch_lanes", "convert f32 -> bf16"});
  const Tensor dy = normal({5, 3, 2, 2}, 6, DType::bf16);
  y.backward(dy);
  CHECK(x.grad().format() == MemoryFormat::contiguous);
  CHECK(values(x.grad()) == values(dy));
  Tensor z = in_lanes(normal({5, 3, 2, 2}, 5)).set_requires_grad();
  contiguous(z).backward(cast(dy, DType::f32));
  check_padding(z.grad(), "gradient of leaving the format");
}

TEST_CASE("batch_lanes: element-wise ops equal those on strided tensors and keep the padding zero") {
  const auto compare = [](const Tensor& got, const Tensor& wanted, const char* what) {
    check_padding(got, what);
    CHECK_MESSAGE(values(got) == values(wanted), what);
  };
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const int64_t n : batches) {
      const Shape shape{n, 3, 5, 2};
      const Tensor a = normal(shape, 1, dtype), b = normal(shape, 2, dtype), la = in_lanes(a), lb = in_lanes(b);
      compare(la + lb, a + b, "add");
      compare(la - lb, a - b, "sub");
      compare(la * lb, a * b, "mul");
      compare(la / lb, a / b, "div");
      compare(la + b, a + b, "add to another format");
      compare(la * normal({3, 1, 1}, 3, dtype), a * normal({3, 1, 1}, 3, dtype), "broadcast");
      compare(la + 2.0, a + 2.0, "affine");
      compare(relu(la), relu(a), "relu");
      compare(exp(la), exp(a), "exp");
      compare(log(abs(la)), log(abs(a)), "log");
      compare(where(less(la, lb), la, lb), where(less(a, b), a, b), "where");
      compare(equal(la, la), equal(a, a), "equal");
      const Tensor c = clone(la);
      add_in_place(c, lb);
      compare(c, a + b, "add_in_place");
      CHECK(values(b + la) == values(b + a));
      CHECK(values(sum(la, {.axes = {0, 2, 3}})) == values(sum(a, {.axes = {0, 2, 3}})));
    }
}

TEST_CASE("batch_lanes: gradients add up in the format, in place") {
  for (const int64_t n : batches) {
    const Shape shape{n, 3, 3, 2};
    const auto gradient = [&](MemoryFormat format) {
      Tensor x = contiguous(normal(shape, 1), format).set_requires_grad();
      const Tensor h = relu(x);
      (exp(h) * h + h * 2.0 + sigmoid(h)).backward(contiguous(normal(shape, 2), format));
      return x.grad();
    };
    const Tensor got = gradient(MemoryFormat::batch_lanes);
    check_padding(got, "accumulated gradient");
    CHECK(values(got) == values(gradient(MemoryFormat::contiguous)));
  }
}
