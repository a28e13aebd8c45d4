// What tensor cores make of an f32 factor under TF32: the exponent stays, 10 bits of the fraction are kept.
#pragma once
#include <bit>
#include <cstdint>

namespace engine::cuda {

inline float to_tf32(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7f800000u) == 0x7f800000u) return x;  // no number, or infinite
  return std::bit_cast<float>((bits + 0x1000u) & ~0x1fffu);
}

}  // namespace engine::cuda
