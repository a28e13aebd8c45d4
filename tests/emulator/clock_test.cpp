// The profiler on a device: events are left behind, and nobody waits for the work before the rows are asked for.
#include <doctest/doctest.h>

#include "engine/core/profile.h"
#include "engine/kernels/select.h"

using namespace engine;

TEST_CASE("profiling a device doesn't wait for its work until the rows are asked for") {
  const Device device = open_device("cuda");
  const Tensor x = Tensor::full({4}, 1, {.device = device});
  synchronize(device);
  // The emulated device's memory is the host's.
  const auto now = [&] { return *reinterpret_cast<const float*>(x.raw()); };

  CHECK(clock_of(Device{}) == nullptr);
  profile::set_clock(clock_of(device));
  profile::reset();
  profile::enable(true);
  {
    profile::Scope step("step");
    profile::Scope op("double it");
    kernels(x).elementwise.binary(BinaryOp::add, x, x, x);
  }
  profile::enable(false);
  CHECK(now() == 1);

  const std::vector<profile::Row> rows = profile::rows();
  CHECK(now() == 2);
  REQUIRE(rows.size() == 2);
  for (const profile::Row& row : rows) {
    CHECK((row.name == "double it" || row.name == "step"));
    CHECK(row.calls == 1);
    CHECK(row.seconds >= 0);
  }
  profile::reset();
  profile::set_clock(nullptr);
}
