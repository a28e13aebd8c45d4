// Random numbers by Philox4x32-10 (Salmon et al., SC 2011): a pure function of (seed, stream, counter), so the same on
// every device, for any number of threads, and resumable from three integers.
#pragma once
#include <array>
#include <cstdint>

namespace engine {

// Four 32-bit words for one counter value.
std::array<uint32_t, 4> philox(uint64_t seed, uint64_t stream, uint64_t counter);

// 24 random bits as a float in [0, 1).
inline float to_uniform(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

// A sequence of random numbers over one (seed, stream). Its whole state is the position in that sequence.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint32_t next();                       // 32 random bits
  float uniform();                       // [0, 1)
  float uniform(float low, float high);  // [low, high)
  float normal();                        // mean 0, standard deviation 1 (Box-Muller)
  uint64_t below(uint64_t n);            // uniform in [0, n), without bias; n > 0

  struct State {
    uint64_t seed, stream, position;
    bool operator==(const State&) const = default;
  };
  State state() const { return {seed_, stream_, position_}; }
  void set_state(State state);

 private:
  uint64_t seed_, stream_, position_ = 0;  // position: words drawn so far
  std::array<uint32_t, 4> block_{};
};

// The generator that dropout and initialisation draw from unless given one; seed it with manual_seed.
Generator& default_generator();
void manual_seed(uint64_t seed);

}  // namespace engine
