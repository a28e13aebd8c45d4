#include "engine/core/allocator.h"

#include <fmt/ranges.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "engine/core/error.h"
#include "engine/core/poison.h"

namespace engine {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;

class HostBlocks : public BlockSource {
 public:
  void* allocate(std::size_t bytes) override {
    const bool large = bytes >= huge_page;
    void* pointer = nullptr;
    // aligned_alloc would ask for multiples of the alignment.
    if (posix_memalign(&pointer, large ? huge_page : 64, bytes) != 0) return nullptr;
    if (large) madvise(pointer, bytes, MADV_HUGEPAGE);  // advice only: a kernel without huge pages ignores it
    return pointer;
  }
  void release(void* block, std::size_t) override { std::free(block); }
};

double mib(std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

}  // namespace

// Eight classes per power of two: at most 12.5 % is wasted and sizes that differ little share a class.
std::size_t CachingAllocator::rounded(std::size_t bytes) {
  if (bytes <= 512) return std::max<std::size_t>(64, (bytes + 63) / 64 * 64);
  const std::size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

CachingAllocator::CachingAllocator() : CachingAllocator("the system", std::make_unique<HostBlocks>()) {}

CachingAllocator::CachingAllocator(std::string where, std::unique_ptr<BlockSource> source)
    : where_(std::move(where)), source_(std::move(source)) {}

CachingAllocator::~CachingAllocator() { empty_cache_locked(); }

void* CachingAllocator::allocate(std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  void* pointer = nullptr;
  if (auto found = free_.find(size); found != free_.end() && !found->second.empty()) {
    pointer = found->second.back();
    found->second.pop_back();
  } else {
    pointer = reserve(size);
  }
  // Under AddressSanitizer neither a block's tail beyond what was asked nor a cached block may be touched.
  unpoison(pointer, bytes);
  poison(static_cast<std::byte*>(pointer) + bytes, size - bytes);
  ++live_[size];
  stats_.allocated += size;
  stats_.peak_allocated = std::max(stats_.peak_allocated, stats_.allocated);
  return pointer;
}

// A new block from the source, which gets the cache back where it or the limit would not allow it otherwise.
void* CachingAllocator::reserve(std::size_t size) {
  if (limit_ && stats_.reserved + size > limit_) empty_cache_locked();
  check(!limit_ || stats_.reserved + size <= limit_, "allocator",
        "{:.1f} MiB asked, {:.1f} MiB in use{}, limit {:.1f} MiB: lower the batch size or raise the limit", mib(size),
        mib(stats_.allocated), largest_blocks(), mib(limit_));
  void* pointer = source_->allocate(size);
  if (!pointer) {
    empty_cache_locked();
    pointer = source_->allocate(size);
  }
  check(pointer != nullptr, "allocator", "{} has no {:.1f} MiB left, {:.1f} MiB in use{}: lower the batch size", where_,
        mib(size), mib(stats_.allocated), largest_blocks());
  stats_.reserved += size;
  ++stats_.system_allocations;
  return pointer;
}

// " (largest: 3 x 512.0, 1 x 128.0 MiB)"
std::string CachingAllocator::largest_blocks() const {
  constexpr int shown = 4;
  std::vector<std::string> parts;
  for (auto at = live_.rbegin(); at != live_.rend() && parts.size() < shown; ++at)
    if (at->second) parts.push_back(fmt::format("{} x {:.1f}", at->second, mib(at->first)));
  return parts.empty() ? "" : fmt::format(" (largest: {} MiB)", fmt::join(parts, ", "));
}

void CachingAllocator::release(void* pointer, std::size_t bytes) {
  const std::size_t size = rounded(bytes);
  std::lock_guard lock(mutex_);
  poison(pointer, size);
  free_[size].push_back(pointer);
  --live_[size];
  stats_.allocated -= size;
}

void CachingAllocator::empty_cache_locked() {
  for (auto& [size, blocks] : free_) {
    for (void* block : blocks) {
      unpoison(block, size);
      source_->release(block, size);
    }
    stats_.reserved -= size * blocks.size();
    blocks.clear();
  }
}

AllocatorStats CachingAllocator::stats() const {
  std::lock_guard lock(mutex_);
  return stats_;
}

void CachingAllocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_allocated = stats_.allocated;
}

void CachingAllocator::set_limit(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  limit_ = bytes;
}

void CachingAllocator::empty_cache() {
  std::lock_guard lock(mutex_);
  empty_cache_locked();
}

CachingAllocator& cpu_allocator() {
  static CachingAllocator* allocator = new CachingAllocator;  // never destroyed: tensors may outlive static destruction
  return *allocator;
}

}  // namespace engine
