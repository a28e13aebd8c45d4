#include "tests/parity/device.h"

using namespace engine;
using namespace engine::test;

TEST_CASE("the measured peaks of the device are numbers") {
  DEVICE_OR_SKIP(device);
  const auto check = [&](DType factors) {
    CAPTURE(name(factors));
    const profile::Peaks peaks = kernels(device).peak.measure(factors);
    CHECK(peaks.flops > 1e5);
    CHECK(peaks.flops < 1e16);
    CHECK(peaks.bytes > 1e4);
    CHECK(peaks.bytes < 1e13);
  };
  in_every_order([&] { check(DType::f32); });
  check(DType::bf16);
  allow_tf32(true);
  check(DType::f32);
  CHECK(numerics().tf32 == Tf32{true, true});
  allow_tf32(false);
}
