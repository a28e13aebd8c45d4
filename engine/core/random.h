// Random numbers by Philox4x32-10 (Salmon et al., SC 2011): a pure function of (seed, stream, counter), so the same on
// every device, for any number of threads, and resumable from three integers.
#pragma once
#include <array>
#include <cstdint>

#include "engine/core/host_device.h"

namespace engine {

// Four 32-bit words for one counter value.
ENGINE_HD inline std::array<uint32_t, 4> philox(uint64_t seed, uint64_t stream, uint64_t counter) {
  uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  std::array<uint32_t, 4> c = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32),
                               static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53u} * c[0], b = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return c;
}

// 24 random bits as a float in [0, 1).
ENGINE_HD inline float to_uniform(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

// The words `position` and `position` + 1 of a Generator's sequence, as one number: what a kernel that draws by itself
// starts from.
ENGINE_HD inline uint64_t philox_pair(uint64_t seed, uint64_t stream, uint64_t position) {
  const auto word = [&](uint64_t at) {
    const std::array<uint32_t, 4> block = philox(seed, stream, at / 4);
    // Not block[at % 4]: a GPU has no registers to index.
    return at % 4 == 0 ? block[0] : at % 4 == 1 ? block[1] : at % 4 == 2 ? block[2] : block[3];
  };
  return static_cast<uint64_t>(word(position)) << 32 | word(position + 1);
}

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
  // The state, and goes on behind `words` that somebody else draws.
  State take(uint64_t words);

 private:
  uint64_t seed_, stream_, position_ = 0;  // position: words drawn so far
  std::array<uint32_t, 4> block_{};
};

// The generator that dropout and initialisation draw from unless given one; seed it with manual_seed.
Generator& default_generator();
void manual_seed(uint64_t seed);

}  // namespace engine
