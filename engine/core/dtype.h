// Element types: their names, sizes, the two 16-bit floats, and the switch from a run-time DType to a C++ type.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/core/error.h"

namespace engine {

enum class DType : uint8_t { f32, bf16, f16, f64, i64, u8, boolean };

std::string_view name(DType dtype);  // "f32", "bf16", ..., "bool"
std::size_t size_of(DType dtype);    // bytes of one element
bool is_floating(DType dtype);

// bfloat16: the upper half of an IEEE float; conversion rounds to nearest even, NaN stays NaN.
struct bfloat16 {
  uint16_t bits = 0;
  bfloat16() = default;
  bfloat16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    bits = (u & 0x7fffffffu) > 0x7f800000u ? static_cast<uint16_t>((u >> 16) | 0x40u)
                                           : static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
  }
  operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
};

// IEEE half precision with round to nearest even, subnormals included.
struct float16 {
  uint16_t bits = 0;
  float16() = default;
  float16(float value);
  operator float() const;
};

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
