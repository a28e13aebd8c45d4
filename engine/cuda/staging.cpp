#include "engine/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "engine/cuda/per_device.h"

namespace engine::cuda {
namespace {

constexpr std::size_t alignment = 256;

std::size_t rounded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

}  // namespace

// Room for a piece in one stretch, at head_.
std::byte* Staging::reserve(std::size_t bytes) {
  if (!memory_) {
    void* memory = nullptr;
    ENGINE_CUDA(cudaHostAlloc(&memory, capacity, cudaHostAllocDefault));
    memory_ = static_cast<std::byte*>(memory);
  }
  if (const std::size_t left = capacity - head_ % capacity; left < bytes) head_ += left;
  while (!pieces_.empty() && (pieces_.size() == most_pieces || head_ + bytes - pieces_.front().begin > capacity)) {
    ENGINE_CUDA(cudaEventSynchronize(pieces_.front().copied.get()));
    spare_.push_back(std::move(pieces_.front().copied));
    pieces_.pop_front();
  }
  return memory_ + head_ % capacity;
}

Event Staging::take_event() {
  if (spare_.empty()) return make_event();
  Event event = std::move(spare_.back());
  spare_.pop_back();
  return event;
}

void Staging::copy(std::byte* target, const std::byte* host, std::size_t bytes) {
  context_.use();
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t size = std::min(bytes - done, largest_piece);
    std::byte* place = reserve(rounded(size));
    std::memcpy(place, host + done, size);
    Event copied = take_event();
    ENGINE_CUDA(cudaMemcpyAsync(target + done, place, size, cudaMemcpyHostToDevice, context_.stream()));
    ENGINE_CUDA(cudaEventRecord(copied.get(), context_.stream()));
    pieces_.push_back({head_, std::move(copied)});
    head_ += rounded(size);
    done += size;
  }
}

Staging& staging(int device) { return per_device<Staging>(device); }

}  // namespace engine::cuda
