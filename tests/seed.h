// The seed of tests that draw their problems at random: a constant, or RIDE_TEST_SEED to try others.
#pragma once
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <string>

namespace engine::test {

// `usual` where the environment doesn't say. Printed, so that a failure can be repeated.
inline uint64_t test_seed(uint64_t usual) {
  const char* other = std::getenv("RIDE_TEST_SEED");
  const uint64_t seed = other ? std::stoull(other) : usual;
  MESSAGE("seed " << seed << " (RIDE_TEST_SEED)");
  return seed;
}

}  // namespace engine::test
