#include "engine/cpu/isa.h"

#include <cstdlib>
#include <string_view>

#include "engine/core/error.h"

namespace engine::cpu {
namespace {

Isa pick() {
  const char* forced = std::getenv("RIDE_CPU_ISA");
  const std::string_view wanted = forced ? forced : "";
  if (wanted.empty()) return has(Isa::avx512) ? Isa::avx512 : has(Isa::avx2) ? Isa::avx2 : Isa::baseline;
  if (wanted == "baseline") return Isa::baseline;
  check(wanted == "avx2" || wanted == "avx512", "isa", "RIDE_CPU_ISA={} is none of baseline, avx2, avx512", wanted);
  const Isa isa = wanted == "avx2" ? Isa::avx2 : Isa::avx512;
  check(has(isa), "isa", "RIDE_CPU_ISA={}, but this processor (or this build) has no {}: unset it", wanted,
        isa == Isa::avx2 ? "AVX2 with FMA" : "AVX-512");
  return isa;
}

}  // namespace

// Every extension that engine/meson.build lets the compiler use.
bool has([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avx512)
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
  return isa == Isa::baseline;
}

Isa isa() {
  static const Isa picked = pick();
  return picked;
}

bool has_bf16_pairs() {
#if defined(__x86_64__)
  return has(Isa::avx512) && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

}  // namespace engine::cpu
