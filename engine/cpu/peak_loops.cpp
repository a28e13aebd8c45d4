// Compiled once per instruction set with RIDE_ISA set to its name; see engine/cpu/row_kernels.cpp for what that asks of
// it.
#include "engine/cpu/peak_loops.h"

#include "engine/cpu/lanes/vec.h"

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

namespace engine::cpu {
namespace {

using namespace lanes::RIDE_ISA;

// Enough independent chains to hide the latency of two multiply-adds a cycle, and few enough to stay in registers
// beside scale and shift.
constexpr int chains = registers - 4;

float multiply_add(int64_t rounds, float scale, float shift) {
  V x[chains];
  for (int i = 0; i < chains; ++i) x[i] = all(static_cast<float>(i));
  const V scales = all(scale), shifts = all(shift);
  for (int64_t round = 0; round < rounds; ++round) {
    RIDE_UNROLL
    for (int i = 0; i < chains; ++i) x[i] = x[i] * scales + shifts;
  }
  V total = zero();
  for (int i = 0; i < chains; ++i) total = total + x[i];
  return sum(total);
}

#if RIDE_VECTOR_WIDTH == 16
__attribute__((target("avx512bf16"))) float multiply_add_pairs(int64_t rounds) {
  __m512 x[chains];
  for (int i = 0; i < chains; ++i) x[i] = (__m512)all(static_cast<float>(i));
  const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  for (int64_t round = 0; round < rounds; ++round) {
    RIDE_UNROLL
    for (int i = 0; i < chains; ++i) x[i] = _mm512_dpbf16_ps(x[i], ones, ones);
  }
  V total = zero();
  for (int i = 0; i < chains; ++i) total = total + (V)x[i];
  return sum(total);
}
#else
constexpr float (*multiply_add_pairs)(int64_t) = nullptr;
#endif

void triad(const float* __restrict a, const float* __restrict b, float s, int64_t n, float* __restrict y) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + s * b[i];
}

}  // namespace

const PeakLoops RIDE_ISA::peak_loops = {TEXT(RIDE_ISA), int64_t{2} * chains* width, multiply_add, multiply_add_pairs,
                                        triad};

}  // namespace engine::cpu
