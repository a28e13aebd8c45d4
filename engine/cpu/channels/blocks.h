// What the kernels over channels share: vectors of channels with a tail, blocks of filters, and the loop at the bottom
// of both convolutions. Included only by sources that are compiled once per instruction set.
#pragma once
#include "engine/cpu/channels/conv_kernels.h"
#include "engine/cpu/lanes/vec.h"

namespace engine::cpu::channels::RIDE_ISA {

using namespace lanes::RIDE_ISA;

RIDE_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
RIDE_INLINE int64_t vectors_of(int64_t channels) { return (channels + width - 1) / width; }
RIDE_INLINE int64_t padded(int64_t channels) { return vectors_of(channels) * width; }  // to whole vectors

// --- vectors of channels, of which `count` exist ---------------------------------------------------------------------

// With `whole` all of them exist; that is known when the loop is compiled, and only the last vector is without it.
template <bool whole, class T>
RIDE_INLINE V load_channels(const T* p, int64_t count) {
  if constexpr (whole) return loadu(p);
  T some[width] = {};
  for (int64_t i = 0; i < count; ++i) some[i] = p[i];
  return loadu(some);
}

template <bool whole, class T>
RIDE_INLINE void store_channels(T* p, V v, int64_t count) {
  if constexpr (whole) return storeu(p, v);
  T some[width];
  storeu(some, v);
  for (int64_t i = 0; i < count; ++i) p[i] = some[i];
}

// f(first channel, how many, whole as a constant) for vectors of the channels [begin, end).
template <bool value_>
struct Flag {
  static constexpr bool value = value_;
};
template <class F>
RIDE_INLINE void for_vectors(int64_t begin, int64_t end, F&& f) {
  int64_t c = begin;
  for (; c + width <= end; c += width) f(c, int64_t{width}, Flag<true>{});
  if (c < end) f(c, end - c, Flag<false>{});
}

// y[at ...] = relu?(sum + bias + residual?) for `count` channels, `at` being their place in y.
template <bool whole, class T>
RIDE_INLINE void finish(const Work<T>& work, V sum, V bias, int64_t at, int64_t count) {
  sum += bias;
  if (work.residual) sum += load_channels<whole>(work.residual + at, count);
  store_channels<whole>(work.y + at, work.relu ? relu(sum) : sum, count);
}

// --- blocks of filters -----------------------------------------------------------------------------------------------

// Filters are taken in nearly even blocks of at most this many vectors: a block's sums over some neighbours (tiles or
// pixels) stay in registers.
constexpr int max_vectors = 3;

RIDE_INLINE int64_t blocks_of(int64_t filters) { return (vectors_of(filters) + max_vectors - 1) / max_vectors; }

struct Block {
  int64_t first;  // filter
  int64_t vectors;
};
RIDE_INLINE Block block_at(int64_t filters, int64_t i) {
  const int64_t all = vectors_of(filters), blocks = blocks_of(filters);
  const int64_t begin = all * i / blocks, end = all * (i + 1) / blocks;
  return {begin * width, end - begin};
}

// Neighbours whose sums fit the registers beside a block of that many vectors.
constexpr int neighbours_with(int vectors) {
  if (registers == 32) return 8;
  return vectors == 3 ? 4 : 6;
}

// sum[i][n] += sum over l of in[i step + l] weights[l][n]: `vectors` vectors of filters for some neighbours.
template <int neighbours, int vectors>
RIDE_INLINE void accumulate(const float* in, int64_t step, const float* weights, int64_t count,
                            V (&sum)[neighbours][vectors]) {
  for (const float* end = in + count; in != end; ++in, weights += vectors * width) {
    V w[vectors];
    RIDE_UNROLL for (int n = 0; n < vectors; ++n) w[n] = load(weights + n * width);
    RIDE_UNROLL for (int i = 0; i < neighbours; ++i) {
      const V value = all(in[i * step]);
      RIDE_UNROLL for (int n = 0; n < vectors; ++n) sum[i][n] = value * w[n] + sum[i][n];
    }
  }
}

// f(an integral constant's object) whose `value` is n, 1 to most.
template <int n>
struct Constant {
  static constexpr int value = n;
};
template <int most, class F>
RIDE_INLINE void with_constant(int64_t n, F&& f) {
  if constexpr (most > 1)
    if (n < most) return with_constant<most - 1>(n, f);
  f(Constant<most>{});
}

// f(first, how many as a constant) for `all` neighbours in nearly even runs of at most `most`.
template <int most, class F>
RIDE_INLINE void for_neighbours(int64_t all, F&& f) {
  const int64_t runs = (all + most - 1) / most, size = all / runs, longer = all % runs;
  for (int64_t i = 0, begin = 0; i < runs; ++i) {
    const int64_t count = i < longer ? size + 1 : size;
    with_constant<most>(count, [&](auto constant) { f(begin, constant); });
    begin += count;
  }
}

}  // namespace engine::cpu::channels::RIDE_ISA
