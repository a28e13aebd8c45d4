// The hash of a key that is made of words: each is mixed in, in their order.
#pragma once
#include <cstddef>
#include <cstdint>

namespace engine {

class WordHash {
 public:
  void mix(int64_t word) { value_ = (value_ ^ static_cast<uint64_t>(word)) * 0x9E3779B97F4A7C15u + (value_ >> 29); }
  std::size_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace engine
