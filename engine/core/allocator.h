// Caching allocator: freed blocks are kept by size class and handed out again, so that a training step asks the system
// for nothing after the first few.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace engine {

struct AllocatorStats {
  std::size_t allocated = 0;           // bytes in live blocks
  std::size_t peak_allocated = 0;      // highest `allocated` since the start or reset_peak
  std::size_t reserved = 0;            // bytes held from the system: live and cached
  std::size_t system_allocations = 0;  // how often the system was asked
};

// Where an allocator gets its blocks. allocate returns null where there is no memory left.
class BlockSource {
 public:
  virtual ~BlockSource() = default;
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* block, std::size_t bytes) = 0;  // `bytes` as given to allocate
};

class CachingAllocator {
 public:
  // Of the host's memory: blocks are aligned to 64 bytes; large ones to 2 MiB, and they ask for huge pages.
  CachingAllocator();
  // `where` names the memory in errors.
  CachingAllocator(std::string where, std::unique_ptr<BlockSource> source);
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;
  ~CachingAllocator();

  // At least `bytes`. Throws Error when the limit or the memory is exhausted even after the cache was given back; it
  // names the largest blocks in use.
  void* allocate(std::size_t bytes);
  void release(void* pointer, std::size_t bytes);  // `bytes` as given to allocate

  AllocatorStats stats() const;
  void reset_peak();
  void set_limit(std::size_t bytes);  // 0: no limit
  void empty_cache();                 // gives cached blocks back to the system

  // The size class `bytes` falls into: what a block of that request really occupies.
  static std::size_t rounded(std::size_t bytes);

 private:
  void* reserve(std::size_t size);
  void empty_cache_locked();
  std::string largest_blocks() const;

  std::string where_;
  std::unique_ptr<BlockSource> source_;
  mutable std::mutex mutex_;
  std::map<std::size_t, std::vector<void*>> free_;  // by size
  std::map<std::size_t, int64_t> live_;             // how many of each size are in use
  AllocatorStats stats_;
  std::size_t limit_ = 0;
};

// The allocator of all CPU tensors.
CachingAllocator& cpu_allocator();

}  // namespace engine
