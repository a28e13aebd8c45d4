// Batch normalisation of one channel, n pixels of it in the batch; scale = weight / sqrt(var + eps), and g is what ReLU
// lets through of dy:
//
//   y = relu?(x scale + shift + residual?),  shift = bias - mean scale
//   dx = scale (g - sum(g) / n - (x - mean) / (var + eps) sum(g (x - mean)) / n) = a g + b x + c
//
// Compiled once per instruction set; see engine/cpu/isa.h for what it must not include.
#include "engine/cpu/lanes/norm_kernels.h"

#include "engine/cpu/lanes/vec.h"

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

namespace engine::cpu {
namespace lanes::RIDE_ISA {
namespace {

// Vectors summed side by side, so that one addition need not wait for the last: four pixels of a group with AVX-512.
constexpr int abreast = parts > 4 ? parts : 4;

// Adds the vectors that hold the same lanes of successive pixels: sums[lane].
RIDE_INLINE void store_sums(const V (&sums)[abreast], float* to) {
  for (int k = 0; k < parts; ++k) {
    V total = sums[k];
    for (int i = k + parts; i < abreast; i += parts) total += sums[i];
    store(to + k * width, total);
  }
}

// f(i, k) for every vector of a run, at element i; k < abreast says which of the sums it belongs to.
template <class F>
RIDE_INLINE void each_vector(int64_t pixels, F&& f) {
  const int64_t n = pixels * lanes;
  int64_t i = 0;
  for (; i + abreast * width <= n; i += abreast * width) {
    RIDE_UNROLL
    for (int k = 0; k < abreast; ++k) f(i + k * width, k);
  }
  for (; i < n; i += lanes) {
    RIDE_UNROLL
    for (int k = 0; k < parts; ++k) f(i + k * width, k);
  }
}

template <class T>
void sums(const T* x, float shift, int64_t pixels, float* sum, float* squares) {
  const V middle = all(shift);
  V s[abreast]{}, q[abreast]{};
  each_vector(
      pixels, [&](int64_t i, int k) __attribute__((always_inline)) {
        const V d = load(x + i) - middle;
        s[k] += d;
        q[k] += d * d;
      });
  store_sums(s, sum);
  store_sums(q, squares);
}

template <bool has_residual, bool relu, class T>
void normalize_as(const T* x, float scale, float shift, const T* residual, int images, int64_t pixels, T* y) {
  I exists[parts];
  for (int k = 0; k < parts; ++k) exists[k] = existing(images, k);
  const V add = all(shift);
  for (int64_t i = 0; i < pixels * lanes; i += lanes) {
    RIDE_UNROLL
    for (int k = 0; k < parts; ++k) {
      const int64_t at = i + k * width;
      V v = load(x + at) * scale + add;
      if (has_residual) v += load(residual + at);
      // Written so that NaN passes the ReLU, as it does everywhere.
      store(y + at, where(relu ? exists[k] & ~(v <= zero()) : exists[k], v));
    }
  }
}

template <class T>
void normalize(const T* x, float scale, float shift, const T* residual, bool relu, int images, int64_t pixels, T* y) {
  if (residual && relu)
    normalize_as<true, true>(x, scale, shift, residual, images, pixels, y);
  else if (residual)
    normalize_as<true, false>(x, scale, shift, residual, images, pixels, y);
  else if (relu)
    normalize_as<false, true>(x, scale, shift, residual, images, pixels, y);
  else
    normalize_as<false, false>(x, scale, shift, residual, images, pixels, y);
}

// dy at element i where ReLU lets it pass.
template <int kind, class T>
RIDE_INLINE V gated(const LaneGate<T>& gate, const T* dy, V x, int64_t i) {
  if constexpr (kind == LaneGate<T>::by_output) return where(load(gate.y + i) > zero(), load(dy + i));
  // As normalize computes it, to the last bit.
  if constexpr (kind == LaneGate<T>::by_input) return where(x * gate.scale + all(gate.shift) > zero(), load(dy + i));
  return load(dy + i);
}

// f<kind>() with the gate's kind.
template <class T, class F>
RIDE_INLINE void with_kind(const LaneGate<T>& gate, F&& f) {
  switch (gate.kind) {
    case LaneGate<T>::by_output: return f.template operator()<LaneGate<T>::by_output>();
    case LaneGate<T>::by_input: return f.template operator()<LaneGate<T>::by_input>();
    case LaneGate<T>::open: return f.template operator()<LaneGate<T>::open>();
  }
}

template <int kind, bool keep, class T>
void backward_sums_as(const T* x, LaneGate<T> gate, const T* dy, float mean, int64_t pixels, T* passed, float* sum_g,
                      float* sum_gx) {
  const V middle = all(mean);
  V s[abreast]{}, q[abreast]{};
  each_vector(
      pixels, [&](int64_t i, int k) __attribute__((always_inline)) {
        const V value = load(x + i), g = gated<kind>(gate, dy, value, i);
        if constexpr (keep) store(passed + i, g);
        s[k] += g;
        q[k] += g * (value - middle);
      });
  store_sums(s, sum_g);
  store_sums(q, sum_gx);
}

template <class T>
void backward_sums(const T* x, LaneGate<T> gate, const T* dy, float mean, int64_t pixels, T* passed, float* sum_g,
                   float* sum_gx) {
  with_kind(gate, [&]<int kind>() {
    const auto pass = passed ? backward_sums_as<kind, true, T> : backward_sums_as<kind, false, T>;
    pass(x, gate, dy, mean, pixels, passed, sum_g, sum_gx);
  });
}

template <int kind, class T>
void backward_input_as(const T* x, LaneGate<T> gate, const T* dy, float a, float b, float c, int images, int64_t pixels,
                       T* dx) {
  I exists[parts];
  for (int k = 0; k < parts; ++k) exists[k] = existing(images, k);
  const V add = all(c);
  for (int64_t i = 0; i < pixels * lanes; i += lanes) {
    RIDE_UNROLL
    for (int k = 0; k < parts; ++k) {
      const int64_t at = i + k * width;
      const V value = load(x + at), g = gated<kind>(gate, dy, value, at);
      store(dx + at, where(exists[k], a * g + (b * value + add)));
    }
  }
}

template <class T>
void backward_input(const T* x, LaneGate<T> gate, const T* dy, float a, float b, float c, int images, int64_t pixels,
                    T* dx) {
  with_kind(gate, [&]<int kind>() { backward_input_as<kind>(x, gate, dy, a, b, c, images, pixels, dx); });
}

template <class T>
constexpr LaneNormFunctions<T> functions{sums<T>, normalize<T>, backward_sums<T>, backward_input<T>};

}  // namespace
}  // namespace lanes::RIDE_ISA

const LaneNormKernels RIDE_ISA::lane_norm_kernels = {TEXT(RIDE_ISA), lanes::RIDE_ISA::functions<float>,
                                                     lanes::RIDE_ISA::functions<lanes::RIDE_ISA::bf16>};

}  // namespace engine::cpu
