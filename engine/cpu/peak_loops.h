// Loops that do nothing but multiply-adds, or nothing but memory traffic. One source (peak_loops.cpp) is compiled
// once per instruction set; peak_loops() is the best one this processor has.
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"

namespace engine::cpu {

struct PeakLoops {
  const char* isa;  // "avx512", "avx2" or "baseline"

  int64_t flops_per_round;
  // x = x scale + shift on every accumulator, `rounds` times; returns a sum of them, so that none can be left out.
  float (*multiply_add)(int64_t rounds, float scale, float shift);
  // x = x + a b over pairs of bf16 on every accumulator: 2 flops_per_round operations. Null without an instruction for
  // it; where there is one the processor need not have it (AVX512_BF16).
  float (*multiply_add_pairs)(int64_t rounds);
  // y = a + s b
  void (*triad)(const float* a, const float* b, float s, int64_t n, float* y);
};

RIDE_PER_ISA(PeakLoops, peak_loops)

}  // namespace engine::cpu
