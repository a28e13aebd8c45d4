// The two numbers of an image op's option.
#pragma once
#include <cstdint>

namespace engine {

// A value for height and one for width; one number stands for both.
struct Pair {
  int64_t h = 0, w = 0;
  constexpr Pair(int64_t both) : h(both), w(both) {}
  constexpr Pair(int64_t h, int64_t w) : h(h), w(w) {}
  bool operator==(const Pair&) const = default;
};

}  // namespace engine
