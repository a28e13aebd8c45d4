#include "engine/core/dtype.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "engine/core/random.h"

using namespace engine;

namespace {

// The value of every finite half, by its definition: (-1)^s 2^(e-15) (1 + m/1024), subnormals m 2^-24.
double half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

double bfloat_value(uint16_t bits) {
  const int exponent = (bits >> 7) & 255, mantissa = bits & 127;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -133) : std::ldexp(128 + mantissa, exponent - 134);
  return bits & 0x8000 ? -magnitude : magnitude;
}

// Nearest finite positive code to a positive x, ties to the even code; `beyond` is the code of infinity, whose place
// on the line is the next power of two. Binary search over the codes, which rise with their values.
uint16_t nearest(double x, uint16_t beyond, double (*value)(uint16_t)) {
  const double top = 2 * value(beyond - 1) - value(beyond - 2);
  const auto at = [&](uint16_t code) { return code == beyond ? top : value(code); };
  uint16_t low = 0, high = beyond;
  if (x >= top) return beyond;
  while (high - low > 1) {
    const uint16_t middle = static_cast<uint16_t>((low + high) / 2);
    (at(middle) <= x ? low : high) = middle;
  }
  const double below = x - at(low), above = at(high) - x;
  if (below == above) return low % 2 == 0 ? low : high;
  return below < above ? low : high;
}

// Floats that stress the rounding: random bit patterns, and every code's midpoint with its neighbours.
template <class Visit>
void each_sample(uint16_t beyond, double (*value)(uint16_t), Visit visit) {
  Generator random(11);
  for (int i = 0; i < 200000; ++i) {
    const float x = std::bit_cast<float>(random.next() & 0x7fffffffu);
    if (std::isfinite(x)) visit(x);
  }
  for (uint16_t code = 0; code + 1 < beyond; ++code) {
    const float middle = static_cast<float>((value(code) + value(code + 1)) / 2);
    for (float x :
         {middle, std::nextafter(middle, 0.0f), std::nextafter(middle, 1e38f), static_cast<float>(value(code))})
      if (std::isfinite(x)) visit(x);
  }
}

template <class Half>
int wrong_roundings(uint16_t beyond, double (*value)(uint16_t)) {
  int wrong = 0;
  each_sample(beyond, value, [&](float x) {
    const uint16_t expected = nearest(x, beyond, value);
    wrong += Half(x).bits != expected || Half(-x).bits != (expected | 0x8000);
  });
  return wrong;
}

}  // namespace

TEST_CASE("float16 rounds to the nearest code, ties to even, as brute force does") {
  CHECK(wrong_roundings<float16>(0x7c00, half_value) == 0);
}

TEST_CASE("bfloat16 rounds to the nearest code, ties to even, as brute force does") {
  CHECK(wrong_roundings<bfloat16>(0x7f80, bfloat_value) == 0);
}

TEST_CASE("every 16-bit code becomes its float and comes back unchanged") {
  int wrong = 0;
  for (uint32_t code = 0; code < 0x10000; ++code) {
    float16 half;
    half.bits = static_cast<uint16_t>(code);
    bfloat16 brain;
    brain.bits = static_cast<uint16_t>(code);
    if ((code & 0x7fff) < 0x7c00) wrong += float(half) != half_value(half.bits) || float16(float(half)).bits != code;
    if ((code & 0x7fff) < 0x7f80)
      wrong += float(brain) != bfloat_value(brain.bits) || bfloat16(float(brain)).bits != code;
  }
  CHECK(wrong == 0);
}

TEST_CASE("16-bit floats keep infinity and NaN") {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(float(float16(infinity)) == infinity);
  CHECK(float(float16(-infinity)) == -infinity);
  CHECK(float(float16(65520.0f)) == infinity);  // halfway from the largest finite to the next power of two
  CHECK(float(float16(65519.0f)) == 65504.0f);
  CHECK(float(bfloat16(-infinity)) == -infinity);
  CHECK(std::isnan(float(float16(nan))));
  CHECK(std::isnan(float(bfloat16(nan))));
  const float low_nan = std::bit_cast<float>(0x7f800001u);  // its payload lies in the bits that are cut off
  CHECK(std::isnan(float(float16(low_nan))));
  CHECK(std::isnan(float(bfloat16(low_nan))));
}

TEST_CASE("names, sizes and dispatch of the dtypes agree") {
  struct Row {
    DType dtype;
    const char* name;
    std::size_t size;
    bool floating;
  };
  for (const Row& row : std::vector<Row>{{DType::f32, "f32", 4, true},
                                         {DType::bf16, "bf16", 2, true},
                                         {DType::f16, "f16", 2, true},
                                         {DType::f64, "f64", 8, true},
                                         {DType::i64, "i64", 8, false},
                                         {DType::u8, "u8", 1, false},
                                         {DType::boolean, "bool", 1, false}}) {
    CAPTURE(row.name);
    CHECK(name(row.dtype) == row.name);
    CHECK(size_of(row.dtype) == row.size);
    CHECK(is_floating(row.dtype) == row.floating);
    dispatch_all(row.dtype, [&](auto tag) {
      CHECK(dtype_of<typename decltype(tag)::type> == row.dtype);
      CHECK(sizeof(typename decltype(tag)::type) == row.size);
    });
    if (row.floating) CHECK_NOTHROW(dispatch_floating(row.dtype, "op", [](auto) {}));
  }
  CHECK_THROWS_WITH_AS(dispatch_floating(DType::i64, "softmax", [](auto) {}),
                       "[softmax] only defined for floating point types, got i64: cast first", Error);
}
