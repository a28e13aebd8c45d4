#include "engine/core/allocator.h"

#include <doctest/doctest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "engine/core/error.h"
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

using namespace engine;

TEST_CASE("a released block is handed out again for any request of its size class") {
  CachingAllocator allocator;
  void* first = allocator.allocate(1000);
  allocator.release(first, 1000);
  REQUIRE(CachingAllocator::rounded(990) == CachingAllocator::rounded(1000));
  void* second = allocator.allocate(990);
  CHECK(first == second);
  CHECK(allocator.stats().system_allocations == 1);
  allocator.release(second, 990);
}

TEST_CASE("size classes hold the request, waste at most an eighth and keep the alignment") {
  std::size_t wrong = 0;
  for (std::size_t bytes = 1; bytes < (std::size_t{1} << 26); bytes += 1 + bytes / 61) {
    const std::size_t size = CachingAllocator::rounded(bytes);
    wrong += size < bytes || size % 64 != 0 || CachingAllocator::rounded(size) != size;
    if (bytes > 512) wrong += static_cast<double>(size) > 1.126 * static_cast<double>(bytes);
  }
  CHECK(wrong == 0);
}

TEST_CASE("blocks are aligned and do not overlap") {
  CachingAllocator allocator;
  std::vector<std::pair<unsigned char*, std::size_t>> blocks;
  for (std::size_t bytes : {1, 63, 64, 65, 500, 513, 4096, 100000, 3 << 20}) {
    auto* block = static_cast<unsigned char*>(allocator.allocate(bytes));
    const std::uintptr_t alignment = bytes >= 2 << 20 ? 2 << 20 : 64;  // a huge page
    CHECK(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
    std::memset(block, static_cast<int>(blocks.size() + 1), bytes);
    blocks.emplace_back(block, bytes);
  }
  int wrong = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i)
    wrong += blocks[i].first[0] != i + 1 || blocks[i].first[blocks[i].second - 1] != i + 1;
  CHECK(wrong == 0);
  for (auto [block, bytes] : blocks) allocator.release(block, bytes);
}

TEST_CASE("statistics follow live blocks, their peak and what the system gave") {
  CachingAllocator allocator;
  void* a = allocator.allocate(4096);
  void* b = allocator.allocate(8192);
  allocator.release(a, 4096);
  AllocatorStats stats = allocator.stats();
  CHECK(stats.allocated == 8192);
  CHECK(stats.peak_allocated == 4096 + 8192);
  CHECK(stats.reserved == 4096 + 8192);
  CHECK(stats.system_allocations == 2);
  allocator.reset_peak();
  CHECK(allocator.stats().peak_allocated == 8192);
  allocator.empty_cache();
  CHECK(allocator.stats().reserved == 8192);
  allocator.release(b, 8192);
  allocator.empty_cache();
  stats = allocator.stats();
  CHECK(stats.reserved == 0);
  CHECK(stats.allocated == 0);
}

TEST_CASE("the limit is an error that says what is in use; cached blocks make room first") {
  CachingAllocator allocator;
  allocator.set_limit(std::size_t{4} << 20);
  void* a = allocator.allocate(std::size_t{3} << 20);
  CHECK_THROWS_WITH_AS(allocator.allocate(std::size_t{2} << 20),
                       "[allocator] 2.0 MiB asked, 3.0 MiB in use (largest: 1 x 3.0 MiB), limit 4.0 MiB: lower the "
                       "batch size or raise the limit",
                       Error);
  CHECK(allocator.stats().allocated == std::size_t{3} << 20);  // the failed request left nothing behind
  allocator.release(a, std::size_t{3} << 20);
  void* b = allocator.allocate(std::size_t{2} << 20);  // fits once the cached 3 MiB are given back
  CHECK(allocator.stats().reserved == std::size_t{2} << 20);
  allocator.set_limit(0);
  void* c = allocator.allocate(std::size_t{8} << 20);
  allocator.release(b, std::size_t{2} << 20);
  allocator.release(c, std::size_t{8} << 20);
}

TEST_CASE("threads may allocate and release at once") {
  CachingAllocator allocator;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2000; ++i) {
        const std::size_t bytes = 64 + 64 * ((i + t) % 7);
        void* block = allocator.allocate(bytes);
        std::memset(block, t, bytes);
        allocator.release(block, bytes);
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(allocator.stats().allocated == 0);
  CHECK(allocator.stats().system_allocations <= 4 * 7);
}

#if defined(__SANITIZE_ADDRESS__)
TEST_CASE("under AddressSanitizer a block's slack and released blocks may not be touched") {
  CachingAllocator allocator;
  auto* block = static_cast<unsigned char*>(allocator.allocate(1001));
  REQUIRE(CachingAllocator::rounded(1001) > 1001);
  const auto poisoned = [&](std::size_t from, std::size_t bytes) {
    return static_cast<unsigned char*>(__asan_region_is_poisoned(block + from, bytes));
  };
  CHECK(poisoned(0, 1001) == nullptr);
  CHECK(poisoned(0, 1002) == block + 1001);
  CHECK(__asan_address_is_poisoned(block + CachingAllocator::rounded(1001) - 1));
  allocator.release(block, 1001);
  CHECK(poisoned(0, 1) == block);
  CHECK(poisoned(1000, 1) == block + 1000);
  REQUIRE(allocator.allocate(1010) == block);  // of the same class, but nine bytes longer
  CHECK(poisoned(0, 1010) == nullptr);
  CHECK(poisoned(0, 1011) == block + 1010);
  allocator.release(block, 1010);
}
#endif
