// Caching allocator for host memory: freed blocks are kept by size class and handed out again, so that a training step
// asks the system for nothing after the first few. Large blocks are aligned to 2 MiB and ask for huge pages.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <vector>

namespace engine {

struct AllocatorStats {
  std::size_t allocated = 0;           // bytes in live blocks
  std::size_t peak_allocated = 0;      // highest `allocated` since the start or reset_peak
  std::size_t reserved = 0;            // bytes held from the system: live and cached
  std::size_t system_allocations = 0;  // how often the system was asked
};

class CachingAllocator {
 public:
  CachingAllocator() = default;
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;
  ~CachingAllocator();

  // At least `bytes`, aligned to 64 bytes. Throws Error when the limit or the system's memory is exhausted, after
  // having given the cache back.
  void* allocate(std::size_t bytes);
  void release(void* pointer, std::size_t bytes);  // `bytes` as given to allocate

  AllocatorStats stats() const;
  void reset_peak();
  void set_limit(std::size_t bytes);  // 0: no limit
  void empty_cache();                 // gives cached blocks back to the system

  // The size class `bytes` falls into: what a block of that request really occupies.
  static std::size_t rounded(std::size_t bytes);

 private:
  void empty_cache_locked();

  mutable std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;
  AllocatorStats stats_;
  std::size_t limit_ = 0;
};

// The allocator of all CPU tensors.
CachingAllocator& cpu_allocator();

}  // namespace engine
