// For tests that draw their problems at random: a constant seed and number of draws, or RIDE_TEST_SEED to try others
// and RIDE_TEST_DRAWS to try more or, under a slow tool, fewer.
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

inline int test_draws(int usual) {
  const char* other = std::getenv("RIDE_TEST_DRAWS");
  return other ? std::stoi(other) : usual;
}

}  // namespace engine::test
