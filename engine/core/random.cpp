#include "engine/core/random.h"

#include <cmath>
#include <numbers>

#include "engine/core/error.h"

namespace engine {

uint32_t Generator::next() {
  if (position_ % 4 == 0) block_ = philox(seed_, stream_, position_ / 4);
  return block_[position_++ % 4];
}

float Generator::uniform() { return to_uniform(next()); }

float Generator::uniform(float low, float high) { return low + (high - low) * uniform(); }

float Generator::normal() {
  const float u = static_cast<float>((next() >> 8) + 1) * 0x1p-24f;  // (0, 1]: its logarithm is finite
  const float angle = 2 * std::numbers::pi_v<float> * uniform();
  return std::sqrt(-2 * std::log(u)) * std::cos(angle);
}

// Rejects the words past the largest multiple of n (below 2^64), so every value is equally likely.
uint64_t Generator::below(uint64_t n) {
  check(n > 0, "random", "below(n) needs n > 0");
  const uint64_t limit = n * (~uint64_t{0} / n);
  while (true) {
    const uint64_t high = next();
    const uint64_t word = high << 32 | next();
    if (word < limit) return word % n;
  }
}

void Generator::set_state(State state) {
  seed_ = state.seed;
  stream_ = state.stream;
  position_ = state.position;
  if (position_ % 4) block_ = philox(seed_, stream_, position_ / 4);
}

Generator::State Generator::take(uint64_t words) {
  const State before = state();
  set_state({seed_, stream_, position_ + words});
  return before;
}

Generator& default_generator() {
  static Generator generator;
  return generator;
}

void manual_seed(uint64_t seed) { default_generator() = Generator(seed); }

}  // namespace engine
