// Which Philox stream each use of random numbers in data/ draws from, so that no two uses share one under one seed.
#pragma once
#include <cstdint>

#include "engine/core/random.h"

namespace data {

enum class Use : uint64_t { augmentation = 1, shuffle = 2, classes = 3, bucket = 4, images = 5 };

// The generator of (use, major, minor), say (augmentation, epoch, sample): major below 2^24, minor below 2^36.
inline engine::Generator generator_for(uint64_t seed, Use use, int64_t major, int64_t minor = 0) {
  return engine::Generator(seed, static_cast<uint64_t>(use) << 60 | (static_cast<uint64_t>(major) & 0xffffff) << 36 |
                                     (static_cast<uint64_t>(minor) & 0xfffffffff));
}

}  // namespace data
