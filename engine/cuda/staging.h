// The way of the host's bytes to a device: through pinned memory, from which the device takes them when their turn has
// come. From pageable memory the runtime would copy itself, and may wait for the stream before it does.
#pragma once
#include <cstddef>
#include <deque>
#include <vector>

#include "engine/cuda/runtime.h"

namespace engine::cuda {

// A ring of pinned memory. The copies of a device are done in the order in which they were given, so the oldest piece
// is always the next to be free; an event tells when. For one thread at a time, as the context is.
class Staging {
 public:
  static constexpr std::size_t capacity = std::size_t{32} << 20;  // bytes
  static constexpr std::size_t largest_piece = capacity / 4;      // larger copies are cut into such
  static constexpr std::size_t most_pieces = 256;                 // on their way at a time

  explicit Staging(int device) : context_(context(device)) {}

  // Puts the copy into the device's stream; what is at `host` may be changed when it returns. Waits only where the ring
  // is full of copies that the device has not come to.
  void copy(std::byte* target, const std::byte* host, std::size_t bytes);

 private:
  struct Piece {
    std::size_t begin;  // as head_
    Event copied;
  };
  std::byte* reserve(std::size_t bytes);
  Event take_event();

  Context& context_;
  std::byte* memory_ = nullptr;
  std::size_t head_ = 0;  // bytes given out so far, without end: the ring's place is its rest by `capacity`
  std::deque<Piece> pieces_;
  std::vector<Event> spare_;
};

Staging& staging(int device);

}  // namespace engine::cuda
