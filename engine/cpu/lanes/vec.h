// The native vector of the instruction set a kernel is being compiled for, and its sixteen-image groups.
//
// In the batch_lanes format the values of one pixel of sixteen images lie side by side: one vector with AVX-512, two
// with AVX2, four with SSE or NEON. Kernels are written over V, the compilers' vector type: `y = w * x + y` with a
// float w becomes one fused multiply-add with a broadcast. Included only by sources that are compiled once per
// instruction set; everything is in that set's namespace, so that no two of them share a function.
#pragma once
#include <cstdint>

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
RIDE_INLINE V all(float x) { return V{} + x; }
RIDE_INLINE V max(V a, V b) { return a > b ? a : b; }

RIDE_INLINE V load(const float* p) { return *reinterpret_cast<const V*>(p); }
RIDE_INLINE void store(float* p, V v) { *reinterpret_cast<V*>(p) = v; }

// bfloat16 is the upper half of a float.
RIDE_INLINE V load(const bf16* p) {
  return reinterpret_cast<V>(__builtin_convertvector(*reinterpret_cast<const H*>(p), U) << 16);
}
// Rounds to nearest, ties to even; a quiet NaN stays one.
RIDE_INLINE void store(bf16* p, V v) {
  const U bits = reinterpret_cast<U>(v);
  *reinterpret_cast<H*>(p) = __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, H);
}

// The sum of a vector's lanes.
RIDE_INLINE float sum(V v) {
  float total = 0;
  for (int i = 0; i < width; ++i) total += v[i];
  return total;
}

}  // namespace engine::cpu::lanes::RIDE_ISA
