// Direct convolution in batch_lanes, with the kernels of every instruction set this processor has, against sums in
// double. Operands are small integers, so that every f32 sum on the way is exact whatever its order: results must be
// equal, and equal to the rounded sum where they are stored as bf16.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <new>

#include "engine/core/parallel.h"
#include "engine/core/random.h"
#include "engine/cpu/lanes/direct.h"
#include "engine/cpu/lanes/direct_passes.h"
#include "tests/seed.h"

using namespace engine;
using namespace engine::cpu::lanes;

namespace {

constexpr int64_t lanes = 16;

// Exactly n values on a cache line's boundary, so that a tool sees every access outside.
template <class T>
struct Buffer {
  explicit Buffer(int64_t n) : size(n), values(static_cast<T*>(::operator new (bytes(), std::align_val_t{64}))) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { ::operator delete (values, std::align_val_t{64}); }
  std::size_t bytes() const { return static_cast<std::size_t>(size) * sizeof(T); }

  int64_t size;
  T* values;
};

template <class T>
T from_double(double v) {
  if constexpr (std::is_same_v<T, float>)
    return static_cast<float>(v);
  else
    return bfloat16(static_cast<float>(v)).bits;
}

// A (images, channels, pixels) array and its place in batch_lanes.
struct Images {
  int64_t images, channels;
  Pair pixels;
  std::vector<double> values;

  Images(int64_t images, int64_t channels, Pair pixels)
      : images(images), channels(channels), pixels(pixels), values(images * plane()) {}
  int64_t plane() const { return channels * pixels.h * pixels.w; }
  double& at(int64_t n, int64_t c, int64_t h, int64_t w) {
    return values[n * plane() + (c * pixels.h + h) * pixels.w + w];
  }
  int64_t stored() const { return (images + lanes - 1) / lanes * lanes * plane(); }
  // The value at place i of the storage, zero in the lanes without an image.
  template <class T>
  T stored(int64_t i) const {
    const int64_t n = i / (plane() * lanes) * lanes + i % lanes, at = i / lanes % plane();
    return n < images ? from_double<T>(values[n * plane() + at]) : T{};
  }
};

void fill(std::vector<double>& values, Generator& random) {
  for (double& v : values) v = static_cast<double>(random.below(9)) - 4;
}

DirectProblem random_case(Generator& random) {
  auto between = [&](int64_t low, int64_t high) { return low + static_cast<int64_t>(random.below(high - low + 1)); };
  for (;;) {
    DirectProblem p{.images = between(1, 33),
                    .channels = between(1, 100),
                    .filters = between(1, 100),
                    .in = {between(1, 33), between(1, 33)},
                    .out = 0,
                    .kernel = {between(1, 7), between(1, 7)},
                    .stride = {between(1, 3), between(1, 3)},
                    .padding = {between(0, 3), between(0, 3)},
                    .dilation = {between(1, 2), between(1, 2)}};
    p.out = {(p.in.h + 2 * p.padding.h - p.dilation.h * (p.kernel.h - 1) - 1) / p.stride.h + 1,
             (p.in.w + 2 * p.padding.w - p.dilation.w * (p.kernel.w - 1) - 1) / p.stride.w + 1};
    const int64_t products = p.images * p.channels * p.filters * p.kernel.h * p.kernel.w * p.out.h * p.out.w;
    const bool fits = p.in.h + 2 * p.padding.h > p.dilation.h * (p.kernel.h - 1) &&
                      p.in.w + 2 * p.padding.w > p.dilation.w * (p.kernel.w - 1);
    if (fits && products < 20'000'000) return p;
  }
}

std::string describe(const DirectProblem& p) {
  return fmt::format(
      "{} images, {} -> {} channels, {}x{} -> {}x{}, kernel {}x{}, stride {},{}, padding {},{}, dilation {},{}",
      p.images, p.channels, p.filters, p.in.h, p.in.w, p.out.h, p.out.w, p.kernel.h, p.kernel.w, p.stride.h, p.stride.w,
      p.padding.h, p.padding.w, p.dilation.h, p.dilation.w);
}

// f(n, k, p, q, c, h, w, index of the weight) for every product of the convolution.
template <class F>
void for_products(const DirectProblem& p, F&& f) {
  for (int64_t n = 0; n < p.images; ++n)
    for (int64_t k = 0; k < p.filters; ++k)
      for (int64_t ch = 0; ch < p.channels; ++ch)
        for (int64_t r = 0; r < p.kernel.h; ++r)
          for (int64_t s = 0; s < p.kernel.w; ++s)
            for (int64_t i = 0; i < p.out.h; ++i)
              for (int64_t j = 0; j < p.out.w; ++j) {
                const int64_t h = i * p.stride.h + r * p.dilation.h - p.padding.h;
                const int64_t w = j * p.stride.w + s * p.dilation.w - p.padding.w;
                if (h >= 0 && h < p.in.h && w >= 0 && w < p.in.w)
                  f(n, k, i, j, ch, h, w, ((k * p.channels + ch) * p.kernel.h + r) * p.kernel.w + s);
              }
}

struct Wanted {
  Images x, dy, y, dx;
  std::vector<double> w, dw;

  Wanted(const DirectProblem& p, Generator& random)
      : x(p.images, p.channels, p.in),
        dy(p.images, p.filters, p.out),
        y(dy),
        dx(x),
        w(p.filters * p.channels * p.kernel.h * p.kernel.w),
        dw(w.size()) {
    fill(x.values, random);
    fill(dy.values, random);
    fill(w, random);
    for_products(p, [&](auto n, auto k, auto i, auto j, auto ch, auto h, auto v, auto weight) {
      y.at(n, k, i, j) += w[weight] * x.at(n, ch, h, v);
      dx.at(n, ch, h, v) += w[weight] * dy.at(n, k, i, j);
      dw[weight] += dy.at(n, k, i, j) * x.at(n, ch, h, v);
    });
  }
  Images finished(const float* bias) const {  // relu(y + bias + dy)
    Images out = y;
    const int64_t pixels = y.pixels.h * y.pixels.w;
    for (std::size_t i = 0; i < out.values.size(); ++i)
      out.values[i] = std::max(0.0, y.values[i] + bias[static_cast<int64_t>(i) / pixels % y.channels] + dy.values[i]);
    return out;
  }
};

template <class T>
int64_t differences(const Buffer<T>& got, const Images& wanted) {
  int64_t count = 0;
  for (int64_t i = 0; i < got.size; ++i) count += got.values[i] != wanted.stored<T>(i);
  return count;
}

template <class T>
void check_case(const DirectProblem& p, const Wanted& wanted, const DirectKernels& kernels) {
  Buffer<T> x(wanted.x.stored()), dy(wanted.dy.stored()), y(dy.size), dx(x.size);
  Buffer<float> w(static_cast<int64_t>(wanted.w.size())), dw(w.size);
  for (int64_t i = 0; i < x.size; ++i) x.values[i] = wanted.x.stored<T>(i);
  for (int64_t i = 0; i < dy.size; ++i) dy.values[i] = wanted.dy.stored<T>(i);
  for (int64_t i = 0; i < w.size; ++i) w.values[i] = static_cast<float>(wanted.w[i]);
  const Tensor arranged = arrange_for_forward(p, kernels, w.values);
  forward(p, kernels, x.values, arranged, static_cast<const Epilogue<T>*>(nullptr), y.values);
  backward_input(p, kernels, dy.values, w.values, false, dx.values);
  backward_weight(p, kernels, dy.values, x.values, dw.values);
  int64_t wrong_weights = 0;
  for (int64_t i = 0; i < dw.size; ++i) wrong_weights += dw.values[i] != wanted.dw[i];
  CAPTURE(kernels.width);
  CAPTURE(sizeof(T));
  CHECK(differences(y, wanted.y) == 0);
  // relu(y + bias + dy), over y's own memory as the residual, too.
  Buffer<float> bias(p.filters);
  for (int64_t k = 0; k < p.filters; ++k) bias.values[k] = static_cast<float>(k % 7 - 3);
  const Images finished = wanted.finished(bias.values);
  for (const bool in_place : {false, true}) {
    if (in_place) std::copy_n(dy.values, dy.size, y.values);
    const Epilogue<T> epilogue{bias.values, in_place ? y.values : dy.values, true};
    forward(p, kernels, x.values, arranged, &epilogue, y.values);
    CHECK(differences(y, finished) == 0);
  }
  CHECK(differences(dx, wanted.dx) == 0);
  CHECK(wrong_weights == 0);
}

void check_all(const DirectProblem& p, Generator& random) {
  CAPTURE(describe(p));
  const Wanted wanted(p, random);
  direct_kernels_per_isa.for_each([&](const DirectKernels& kernels) {
    check_case<float>(p, wanted, kernels);
    check_case<uint16_t>(p, wanted, kernels);
  });
}

}  // namespace

TEST_CASE("direct lanes: any channels, sizes, kernels, strides, paddings, dilations and batches") {
  Generator random(test::test_seed(20240));
  for (int i = test::test_draws(40); i > 0; --i) check_all(random_case(random), random);
}

TEST_CASE("direct lanes: the layers of small residual networks") {
  Generator random(3);
  for (const int64_t images : {3, 16, 17}) {
    check_all({images, 3, 16, 8, 8, 3, 1, 1, 1}, random);
    check_all({images, 16, 24, 8, 4, 3, 2, 1, 1}, random);
    check_all({images, 32, 64, 8, 4, 3, 2, 1, 1}, random);
    check_all({images, 24, 48, 8, 4, 1, 2, 0, 1}, random);
  }
}

TEST_CASE("direct lanes: tensors") {
  Generator random(5);
  const DirectProblem p{20, 5, 7, 9, 5, 3, 2, 1, 1};
  const Wanted wanted(p, random);
  const Conv2dOptions options{.stride = 2, .padding = 1};
  auto tensor = [](const Images& from, DType dtype) {
    const Tensor t = Tensor::empty({from.images, from.channels, from.pixels.h, from.pixels.w},
                                   {.dtype = dtype, .format = MemoryFormat::batch_lanes});
    for (int64_t i = 0; i < from.stored(); ++i)
      dtype == DType::f32 ? void(reinterpret_cast<float*>(t.raw())[i] = from.stored<float>(i))
                          : void(reinterpret_cast<uint16_t*>(t.raw())[i] = from.stored<uint16_t>(i));
    return t;
  };
  const Tensor w = Tensor::from(std::vector<float>(wanted.w.begin(), wanted.w.end()), {7, 5, 3, 3});
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x = tensor(wanted.x, dtype), dy = tensor(wanted.dy, dtype);
    CHECK(direct_forward(x, w, dy.shape(), options).groups().to<float>() ==
          tensor(wanted.y, dtype).groups().to<float>());
    CHECK(direct_backward_input(dy, w, x.shape(), options).groups().to<float>() ==
          tensor(wanted.dx, dtype).groups().to<float>());
    CHECK(direct_backward_weight(dy, x, w.shape(), options).to<double>() == wanted.dw);
  }
  CHECK_THROWS_WITH(direct_forward(Tensor::zeros({1, 5, 9, 9}), w, {1, 7, 5, 5}, options),
                    doctest::Contains("batch_lanes"));
  CHECK(direct_covers(w.shape(), options));
  CHECK_FALSE(direct_covers(w.shape(), {.groups = 7}));
}

TEST_CASE("direct lanes: the same bits for any number of threads") {
  const int threads = num_threads();
  Generator random(4);
  const DirectProblem p{3 * lanes, 13, 21, {19, 18}, {10, 9}, 3, 2, 1, 1};
  Buffer<float> x(3 * 13 * 19 * 18 * lanes), dy(3 * 21 * 10 * 9 * lanes), w(21 * 13 * 9);
  for (const Buffer<float>* b : {&x, &dy, &w})
    for (int64_t i = 0; i < b->size; ++i) b->values[i] = random.normal();
  auto run = [&](int count) {
    set_num_threads(count);
    Buffer<float> y(dy.size), dx(x.size), dw(w.size);
    const Tensor arranged = arrange_for_forward(p, direct_kernels(), w.values);
    forward(p, direct_kernels(), x.values, arranged, static_cast<const Epilogue<float>*>(nullptr), y.values);
    backward_input(p, direct_kernels(), dy.values, w.values, false, dx.values);
    backward_weight(p, direct_kernels(), dy.values, x.values, dw.values);
    std::vector<float> all(y.values, y.values + y.size);
    all.insert(all.end(), dx.values, dx.values + dx.size);
    all.insert(all.end(), dw.values, dw.values + dw.size);
    return all;
  };
  const std::vector<float> one = run(1), two = run(2), five = run(5);
  set_num_threads(threads);
  CHECK(one == two);
  CHECK(one == five);
}
