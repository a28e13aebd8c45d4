#include "tests/parity/device.h"

using namespace engine;
using namespace engine::test;

TEST_CASE("the measured peaks of the device are numbers") {
  DEVICE_OR_SKIP(device);
  in_every_order([&] {
    const profile::Peaks peaks = kernels(device).peak.measure();
    CHECK(peaks.flops > 1e5);
    CHECK(peaks.flops < 1e15);
    CHECK(peaks.bytes > 1e4);
    CHECK(peaks.bytes < 1e13);
  });
}
