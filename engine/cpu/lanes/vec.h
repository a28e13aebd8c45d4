// The native vector of the instruction set a kernel is being compiled for, and its sixteen-image groups.
//
// In the batch_lanes format the values of one pixel of sixteen images lie side by side: one vector with AVX-512, two
// with AVX2, four with SSE or NEON. Kernels are written over V, the compilers' vector type: `y = w * x + y` with a
// float w becomes one fused multiply-add with a broadcast. Included only by sources that are compiled once per
// instruction set; everything is in that set's namespace, so that no two of them share a function.
#pragma once
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define RIDE_VECTOR_WIDTH 16
#define RIDE_VECTOR_REGISTERS 32
#elif defined(__AVX2__)
#define RIDE_VECTOR_WIDTH 8
#define RIDE_VECTOR_REGISTERS 16
#elif defined(__aarch64__)
#define RIDE_VECTOR_WIDTH 4
#define RIDE_VECTOR_REGISTERS 32
#else
#define RIDE_VECTOR_WIDTH 4
#define RIDE_VECTOR_REGISTERS 16
#endif

#define RIDE_INLINE inline __attribute__((always_inline))
#define RIDE_UNROLL _Pragma("GCC unroll 36")

namespace engine::cpu::lanes::RIDE_ISA {

constexpr int lanes = 16;                         // images of a group
constexpr int width = RIDE_VECTOR_WIDTH;          // floats of a vector
constexpr int parts = lanes / width;              // vectors of a group's pixel
constexpr int registers = RIDE_VECTOR_REGISTERS;  // vectors the processor holds at once

typedef float V __attribute__((vector_size(width * 4), may_alias));
typedef uint32_t U __attribute__((vector_size(width * 4), may_alias));
typedef int32_t I __attribute__((vector_size(width * 4), may_alias));
typedef uint16_t H __attribute__((vector_size(width * 2), may_alias));

using bf16 = uint16_t;  // bits of a bfloat16 in memory

RIDE_INLINE V zero() { return V{}; }
#if RIDE_VECTOR_WIDTH == 16
RIDE_INLINE V all(float x) { return V{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
#elif RIDE_VECTOR_WIDTH == 8
RIDE_INLINE V all(float x) { return V{x, x, x, x, x, x, x, x}; }
#else
RIDE_INLINE V all(float x) { return V{x, x, x, x}; }
#endif
RIDE_INLINE V where(I condition, V v) { return reinterpret_cast<V>(condition & reinterpret_cast<I>(v)); }
RIDE_INLINE V relu(V v) { return where(~(v <= zero()), v); }  // NaN passes, as everywhere

// All bits set in the first `images` lanes of a group: part k's vector.
RIDE_INLINE I existing(int64_t images, int k) {
  I number{};
  for (int j = 0; j < width; ++j) number[j] = k * width + j;
  return number < static_cast<int32_t>(images);
}

RIDE_INLINE V load(const float* p) { return *reinterpret_cast<const V*>(p); }
RIDE_INLINE void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }
// From and to an address of any alignment.
typedef float UnalignedV __attribute__((vector_size(width * 4), may_alias, aligned(4)));
typedef int32_t UnalignedI __attribute__((vector_size(width * 4), may_alias, aligned(4)));
typedef uint16_t UnalignedH __attribute__((vector_size(width * 2), may_alias, aligned(2)));
RIDE_INLINE V loadu(const float* p) { return *reinterpret_cast<const UnalignedV*>(p); }
RIDE_INLINE void storeu(float* p, V v) { *reinterpret_cast<UnalignedV*>(p) = v; }
// The first `count` floats at p, zeros for the rest.
RIDE_INLINE V load_some(const float* p, int64_t count) {
  if (count >= width) return loadu(p);
  float some[width] = {};
  for (int64_t i = 0; i < count; ++i) some[i] = p[i];
  return loadu(some);
}
// The first `count` floats of v, at most `width`.
RIDE_INLINE void store_some(float* p, V v, int64_t count) {
#if RIDE_VECTOR_WIDTH == 16
  _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), (__m512)v);
#elif RIDE_VECTOR_WIDTH == 8
  const I number{0, 1, 2, 3, 4, 5, 6, 7};
  _mm256_maskstore_ps(p, (__m256i)(number < static_cast<int32_t>(count)), (__m256)v);
#else
  for (int64_t i = 0; i < count; ++i) p[i] = v[i];
#endif
}

// Sixteen bits to thirty-two and back: one or two instructions where g++ 12 makes four to eight of
// __builtin_convertvector.
#if RIDE_VECTOR_WIDTH == 16
constexpr __mmask16 every = 0xffff;  // the forms without a mask warn of an uninitialised operand
RIDE_INLINE U widen(H h) { return (U)_mm512_maskz_cvtepu16_epi32(every, (__m256i)h); }
RIDE_INLINE H narrow(U u) { return (H)_mm512_maskz_cvtepi32_epi16(every, (__m512i)u); }
#elif RIDE_VECTOR_WIDTH == 8
RIDE_INLINE U widen(H h) { return (U)_mm256_cvtepu16_epi32((__m128i)h); }
RIDE_INLINE H narrow(U u) {
  const __m256i pairs = _mm256_packus_epi32((__m256i)u, (__m256i)u);  // within each half
  return (H)_mm256_castsi256_si128(_mm256_permute4x64_epi64(pairs, 0x08));
}
#else
RIDE_INLINE U widen(H h) { return __builtin_convertvector(h, U); }
RIDE_INLINE H narrow(U u) { return __builtin_convertvector(u, H); }
#endif

// bfloat16 is the upper half of a float.
RIDE_INLINE V from_bf16(H h) { return reinterpret_cast<V>(widen(h) << 16); }
// Rounds to nearest, ties to even; the NaN that arithmetic makes stays one.
RIDE_INLINE H to_bf16(V v) {
  const U bits = reinterpret_cast<U>(v);
  return narrow((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
RIDE_INLINE V load(const bf16* p) { return from_bf16(*reinterpret_cast<const H*>(p)); }
RIDE_INLINE void store(bf16* p, V v) { *reinterpret_cast<H*>(p) = to_bf16(v); }
RIDE_INLINE V loadu(const bf16* p) { return from_bf16(*reinterpret_cast<const UnalignedH*>(p)); }
RIDE_INLINE void storeu(bf16* p, V v) { *reinterpret_cast<UnalignedH*>(p) = to_bf16(v); }

// Lane j is lane index[j], 0 to 15, of the group whose vectors these are.
RIDE_INLINE U choose(const U (&group)[parts], I index) {
#if RIDE_VECTOR_WIDTH == 16
  return (U)_mm512_maskz_permutexvar_epi32(every, (__m512i)index, (__m512i)group[0]);
#elif RIDE_VECTOR_WIDTH == 8
  const U low = (U)_mm256_permutevar8x32_epi32((__m256i)group[0], (__m256i)index);
  const U high = (U)_mm256_permutevar8x32_epi32((__m256i)group[1], (__m256i)index);
  return index < width ? low : high;
#else
  U y;
  for (int j = 0; j < width; ++j) y[j] = group[index[j] / width][index[j] % width];
  return y;
#endif
}

// The sum of a vector's lanes.
RIDE_INLINE float sum(V v) {
  float total = 0;
  for (int i = 0; i < width; ++i) total += v[i];
  return total;
}

// to[i] += the sum of v[i]'s lanes, i < 4: two rounds of pairwise sums leave the four totals side by side, once for
// each quarter of a vector.
RIDE_INLINE void add_sums(const V (&v)[4], float* to) {
  typedef float Q __attribute__((vector_size(16), aligned(4), may_alias));
#if RIDE_VECTOR_WIDTH == 16
#define RIDE_EVEN(a, b) __builtin_shufflevector(a, b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
#define RIDE_ODD(a, b) __builtin_shufflevector(a, b, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
#define RIDE_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29)
#define RIDE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31)
#elif RIDE_VECTOR_WIDTH == 8
#define RIDE_EVEN(a, b) __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14)
#define RIDE_ODD(a, b) __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15)
#define RIDE_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13)
#define RIDE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15)
#else
#define RIDE_EVEN(a, b) __builtin_shufflevector(a, b, 0, 4, 2, 6)
#define RIDE_ODD(a, b) __builtin_shufflevector(a, b, 1, 5, 3, 7)
#define RIDE_LOW(a, b) __builtin_shufflevector(a, b, 0, 1, 4, 5)
#define RIDE_HIGH(a, b) __builtin_shufflevector(a, b, 2, 3, 6, 7)
#endif
  const V a = RIDE_EVEN(v[0], v[1]) + RIDE_ODD(v[0], v[1]), b = RIDE_EVEN(v[2], v[3]) + RIDE_ODD(v[2], v[3]);
  const V c = RIDE_LOW(a, b) + RIDE_HIGH(a, b);
#undef RIDE_EVEN
#undef RIDE_ODD
#undef RIDE_LOW
#undef RIDE_HIGH
  Q total = *reinterpret_cast<const Q*>(to);
#if RIDE_VECTOR_WIDTH == 16
  total += __builtin_shufflevector(c, c, 0, 1, 2, 3) + __builtin_shufflevector(c, c, 4, 5, 6, 7) +
           (__builtin_shufflevector(c, c, 8, 9, 10, 11) + __builtin_shufflevector(c, c, 12, 13, 14, 15));
#elif RIDE_VECTOR_WIDTH == 8
  total += __builtin_shufflevector(c, c, 0, 1, 2, 3) + __builtin_shufflevector(c, c, 4, 5, 6, 7);
#else
  total += c;
#endif
  *reinterpret_cast<Q*>(to) = total;
}

}  // namespace engine::cpu::lanes::RIDE_ISA
