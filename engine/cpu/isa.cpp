#include <cstdlib>
#include <string_view>

#include "engine/core/error.h"
#include "engine/cpu/row_kernels.h"

namespace engine::cpu {
namespace {

#if defined(__x86_64__)
// Every extension that engine/meson.build lets the compiler use for the avx512 table.
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#endif

// RIDE_CPU_ISA=baseline|avx2|avx512 asks for less than the processor has; asking for more is an error.
const RowKernels& pick() {
  const char* forced = std::getenv("RIDE_CPU_ISA");
  const std::string_view wanted = forced ? forced : "";
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && has_avx512();
  if (wanted == "avx512") check(avx512, "isa", "RIDE_CPU_ISA=avx512, but this processor has no AVX-512");
  if (wanted == "avx2") check(avx2, "isa", "RIDE_CPU_ISA=avx2, but this processor has no AVX2 with FMA");
  if (avx512 && (wanted.empty() || wanted == "avx512")) return row_kernels_avx512;
  if (avx2 && (wanted.empty() || wanted == "avx2")) return row_kernels_avx2;
#endif
  check(wanted.empty() || wanted == "baseline", "isa",
        "RIDE_CPU_ISA={} is none of baseline, avx2, avx512 that this build knows", wanted);
  return row_kernels_baseline;
}

}  // namespace

const RowKernels& row_kernels() {
  static const RowKernels& kernels = pick();
  return kernels;
}

}  // namespace engine::cpu
