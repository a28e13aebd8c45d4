#include "engine/core/profile.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>

#include "engine/core/error.h"

using namespace engine;

namespace {

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

profile::Row row_of(const std::string& name) {
  for (const profile::Row& row : profile::rows())
    if (row.name == name) return row;
  return {};
}

struct Profiling {
  Profiling() {
    profile::reset();
    profile::enable(true);
  }
  ~Profiling() {
    profile::enable(false);
    profile::reset();
  }
};

}  // namespace

namespace {

// Its time passes by a second with every mark, but can be read only where `done`.
struct CountingClock : profile::Clock {
  int marks = 0;
  bool done = false;
  Mark mark() override { return std::make_shared<const int>(marks++); }
  double seconds(const Mark& from, const Mark& to) override {
    if (!done) fail("clock", "read too early");
    return *static_cast<const int*>(to.get()) - *static_cast<const int*>(from.get());
  }
};

}  // namespace

TEST_CASE("a device's clock is marked where scopes begin and end, and read when rows are asked for") {
  const auto clock = std::make_shared<CountingClock>();
  profile::set_clock(clock);
  {
    Profiling profiling;
    for (int i = 0; i < 2; ++i) {
      profile::Scope outer("outer");
      { profile::Scope inner("inner"); }
      { profile::Scope inner("inner"); }
    }
    CHECK_THROWS_AS(profile::rows(), const Error&);  // what was to be read then is given up
    { profile::Scope late("late"); }
    clock->done = true;
    CHECK(row_of("late").seconds == 1);
    CHECK(row_of("inner").calls == 4);
    for (int i = 0; i < 2; ++i) {
      profile::Scope outer("outer");
      { profile::Scope inner("inner"); }
      { profile::Scope inner("inner"); }
    }
    CHECK(row_of("inner").seconds == 4);
    CHECK(row_of("outer").seconds == 6);  // five from mark to mark, without two inside, twice
    CHECK(row_of("outer").calls == 4);
  }
  profile::set_clock(nullptr);
}

TEST_CASE("nothing is collected while the profiler is off") {
  profile::reset();
  {
    profile::Scope scope("off");
    profile::add_work(1, 1);
  }
  CHECK(profile::rows().empty());
}

TEST_CASE("Enabled leaves the profiler as it was, also where it is left by an exception") {
  for (const bool before : {false, true}) {
    profile::enable(before);
    for (const bool on : {false, true}) {
      try {
        const profile::Enabled inside(on);
        CHECK(profile::enabled() == on);
        fail("work", "stopped");
      } catch (const Error&) {
      }
      CHECK(profile::enabled() == before);
    }
  }
  profile::enable(false);
}

TEST_CASE("calls, time and work are summed per name, an inner scope's time is not counted twice") {
  Profiling on;
  for (int i = 0; i < 3; ++i) {
    profile::Scope outer("outer");
    profile::add_work(100, 10);
    sleep_ms(2);
    {
      profile::Scope inner("outer", " backward");
      profile::add_work(7, 5);
      sleep_ms(20);
    }
  }
  const profile::Row outer = row_of("outer"), inner = row_of("outer backward");
  CHECK(outer.calls == 3);
  CHECK(outer.flops == 300);
  CHECK(outer.bytes == 30);
  CHECK(inner.calls == 3);
  CHECK(inner.flops == 21);
  CHECK(inner.seconds >= 0.060);
  CHECK(outer.seconds >= 0.006);
  CHECK(outer.seconds < inner.seconds);
  CHECK(profile::rows().front().name == "outer backward");  // by falling time
}

TEST_CASE("the table names each op with calls and rates") {
  Profiling on;
  {
    profile::Scope scope("conv2d");
    profile::add_work(2e9, 1e6);
    sleep_ms(1);
  }
  const std::string table = profile::table();
  for (const char* part : {"conv2d", "GFLOP/s", "GB/s", "share", "100.0%"})
    CHECK_MESSAGE(table.find(part) != std::string::npos, part, " missing in\n", table);
}

TEST_CASE("beside a device's peaks the table shows shares of them, what bounds an op, and times of one step") {
  Profiling on;
  {
    profile::Scope scope("conv2d");
    profile::add_work(4e9, 1e6);  // 4000 flops a byte
  }
  {
    profile::Scope scope("batch_norm");
    profile::add_work(1e6, 1e9);
  }
  { profile::Scope scope("reshape"); }
  const std::string table = profile::table({.peaks = {.flops = 100e9, .bytes = 10e9}, .steps = 2});
  const auto line_of = [&](const std::string& start) {
    const std::size_t at = table.find('\n' + start);
    REQUIRE(at != std::string::npos);
    return table.substr(at + 1, table.find('\n', at + 1) - at - 1);
  };
  CHECK(line_of("conv2d").ends_with("compute"));
  CHECK(line_of("batch_norm").ends_with("memory"));
  CHECK(line_of("reshape").ends_with("-"));
  CHECK(line_of("sum").find("100.0%     1.5") != std::string::npos);  // 3 calls in 2 steps
  CHECK(line_of("measured peaks").find("100.0 GFLOP/s") != std::string::npos);
  CHECK(line_of("measured peaks").find("10.0 GB/s") != std::string::npos);
  CHECK(profile::table().find("of flops") == std::string::npos);  // unknown peaks, no shares
}

TEST_CASE("a scope left by an exception closes itself") {
  Profiling on;
  try {
    profile::Scope scope("thrower");
    throw 1;
  } catch (int) {
  }
  { profile::Scope scope("after"); }
  CHECK(row_of("thrower").calls == 1);
  CHECK(row_of("after").calls == 1);
}
