#include "engine/core/error.h"

#include <doctest/doctest.h>

#include "engine/core/shape.h"

using namespace engine;

TEST_CASE("fail throws an Error that names the op, the values and nothing else") {
  CHECK_THROWS_WITH_AS(fail("conv2d", "weight expects {} input channels, input has {}: {}", 64, 3, Shape{8, 3, 32, 32}),
                       "[conv2d] weight expects 64 input channels, input has 3: (8, 3, 32, 32)", Error);
}

TEST_CASE("check throws only when its condition fails") {
  CHECK_NOTHROW(check(true, "op", "never {}", 1));
  CHECK_THROWS_WITH_AS(check(false, "op", "value {}", 7), "[op] value 7", Error);
}

TEST_CASE("Error is a std::runtime_error, so a program's last catch can print it") {
  CHECK_THROWS_AS(fail("op", "text"), std::runtime_error);
}
