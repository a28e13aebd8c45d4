#include <doctest/doctest.h>

#include "engine/kernels/select.h"

using namespace engine;

TEST_CASE("the measured peaks of the emulated device are numbers") {
  const profile::Peaks peaks = kernels(open_device("cuda")).peak.measure();
  CHECK(peaks.flops > 1e5);
  CHECK(peaks.flops < 1e15);
  CHECK(peaks.bytes > 1e4);
  CHECK(peaks.bytes < 1e13);
}
