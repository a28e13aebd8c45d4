// Element types: their names, sizes, the two 16-bit floats, and the switch from a run-time DType to a C++ type.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/core/error.h"
#include "engine/core/host_device.h"

namespace engine {

enum class DType : uint8_t { f32, bf16, f16, f64, i64, u8, boolean };

std::string_view name(DType dtype);  // "f32", "bf16", ..., "bool"
std::size_t size_of(DType dtype);    // bytes of one element
bool is_floating(DType dtype);
bool is_half(DType dtype);  // bf16 or f16

// bfloat16: the upper half of an IEEE float; conversion rounds to nearest even, NaN stays NaN.
struct bfloat16 {
  uint16_t bits = 0;
  bfloat16() = default;
  ENGINE_HD bfloat16(float value) {
#if defined(__CUDA_ARCH__)
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
    const uint32_t u = std::bit_cast<uint32_t>(value);
    bits = (u & 0x7fffffffu) > 0x7f800000u ? static_cast<uint16_t>((u >> 16) | 0x40u)
                                           : static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
#endif
  }
  ENGINE_HD operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

// IEEE half precision with round to nearest even, subnormals included.
struct float16 {
  uint16_t bits = 0;
  float16() = default;
  ENGINE_HD float16(float value);
  ENGINE_HD operator float() const;
};

// Re-biases the exponent by (127 - 15); values below the normal range are rounded by a float addition whose
// exponent places the last kept bit at the half's subnormal spacing (2^-24).
ENGINE_HD inline float16::float16(float value) {
#if defined(__CUDA_ARCH__)
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
#else
  const uint32_t u = std::bit_cast<uint32_t>(value);
  const uint16_t sign = static_cast<uint16_t>((u >> 16) & 0x8000u);
  const uint32_t magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) {
    bits = sign | 0x7e00u;
  } else if (magnitude >= 0x477ff000u) {  // rounds to 65520 or more: infinity
    bits = sign | 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: subnormal
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    bits = sign | static_cast<uint16_t>(std::bit_cast<uint32_t>(shifted) - 0x3f000000u);
  } else {
    const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
    bits = sign | static_cast<uint16_t>(rounded >> 13);
  }
#endif
}

ENGINE_HD inline float16::operator float() const {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t magnitude = bits & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  if (magnitude < 0x400u) {
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
}

template <class T>
struct TypeTag {
  using type = T;
};
template <class T>
inline constexpr DType dtype_of = T::no_such_element_type;  // an error for any other type
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<bfloat16> = DType::bf16;
template <>
inline constexpr DType dtype_of<float16> = DType::f16;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::u8;
template <>
inline constexpr DType dtype_of<bool> = DType::boolean;

// The type arithmetic on T is done in: f32 for the 16-bit floats, T itself otherwise.
template <class T>
struct ComputeType {
  using type = T;
};
template <>
struct ComputeType<bfloat16> {
  using type = float;
};
template <>
struct ComputeType<float16> {
  using type = float;
};
template <class T>
using Compute = typename ComputeType<T>::type;

// Calls f(TypeTag<T>{}) with the C++ type of `dtype`.
template <class F>
decltype(auto) dispatch_all(DType dtype, F&& f) {
  switch (dtype) {
    case DType::f32: return f(TypeTag<float>{});
    case DType::bf16: return f(TypeTag<bfloat16>{});
    case DType::f16: return f(TypeTag<float16>{});
    case DType::f64: return f(TypeTag<double>{});
    case DType::i64: return f(TypeTag<int64_t>{});
    case DType::u8: return f(TypeTag<uint8_t>{});
    case DType::boolean: return f(TypeTag<bool>{});
  }
  fail("dtype", "corrupt dtype {}", static_cast<int>(dtype));
}

// As dispatch_all, for floating types only; `op` names the caller in the error.
template <class F>
decltype(auto) dispatch_floating(DType dtype, const char* op, F&& f) {
  switch (dtype) {
    case DType::f32: return f(TypeTag<float>{});
    case DType::bf16: return f(TypeTag<bfloat16>{});
    case DType::f16: return f(TypeTag<float16>{});
    case DType::f64: return f(TypeTag<double>{});
    default: fail(op, "only defined for floating point types, got {}: cast first", name(dtype));
  }
}

}  // namespace engine
