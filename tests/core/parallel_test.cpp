#include "engine/core/parallel.h"

#include <doctest/doctest.h>

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/core/error.h"

using namespace engine;

namespace {

struct Threads {  // restores the thread count
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before = num_threads();
};

}  // namespace

TEST_CASE("parallel_for visits every index once") {
  Threads threads(4);
  for (int64_t n : {0, 1, 2, 3, 5, 7, 17, 33, 1000}) {
    for (int64_t grain : {0, 1, 4, 2000}) {
      std::vector<std::atomic<int>> visits(n);
      parallel_for(n, grain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++visits[i];
      });
      int wrong = 0;
      for (auto& count : visits) wrong += count != 1;
      CHECK_MESSAGE(wrong == 0, "n ", n, " grain ", grain);
    }
  }
}

TEST_CASE("at or below the grain it is one call on the calling thread") {
  Threads threads(4);
  int calls = 0;
  parallel_for(100, 100, [&](int64_t begin, int64_t end) {
    ++calls;
    CHECK(begin == 0);
    CHECK(end == 100);
  });
  CHECK(calls == 1);
}

TEST_CASE("an exception of any piece reaches the caller, and the next loop works") {
  Threads threads(4);
  const auto run = [](int64_t bad) {
    parallel_for(64, 1, [&](int64_t begin, int64_t end) {
      if (begin <= bad && bad < end) throw Error("piece " + std::to_string(bad));
    });
  };
  for (int64_t bad : {0, 17, 63}) CHECK_THROWS_WITH_AS(run(bad), doctest::Contains(std::to_string(bad).c_str()), Error);
  CHECK_NOTHROW(run(64));
}

TEST_CASE("a loop inside a loop works") {
  Threads threads(4);
  std::atomic<int64_t> total{0};
  parallel_for(8, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) parallel_for(8, 1, [&](int64_t from, int64_t to) { total += to - from; });
  });
  CHECK(total == 64);
}

TEST_CASE("the thread count is at least one") {
  CHECK(num_threads() >= 1);
  CHECK_THROWS_AS(set_num_threads(0), Error);
}
