// The parity suite compares a device with the CPU. It is linked into two programs: tests/emulator's, whose device is
// emulated, and tests/gpu's, whose device is real.
#pragma once
#include <doctest/doctest.h>

#include "engine/core/numerics.h"
#include "engine/kernels/select.h"
#include "tests/ops/cases.h"

namespace engine::test {

// Defined by each program: makes an emulated device forget a fault, so that one failure stays one.
void recover();
// How many steps a training that is compared takes: an emulated one is slow.
int training_steps();

// The device under test, in strict f32 as the CPU. Where there is none, leaves the test case with a message that counts
// as skipped.
#define DEVICE_OR_SKIP(device)                         \
  ::engine::Device device;                             \
  try {                                                \
    device = ::engine::open_device("cuda");            \
    ::engine::allow_tf32(false);                       \
  } catch (const ::engine::Error& error) {             \
    MESSAGE("skipped: " << std::string(error.what())); \
    return;                                            \
  }

// Runs a case on the CPU and on the device, forward and backward, with the same inputs and gradient of `dtype` in
// `layout` (null: contiguous), and checks that outputs and gradients agree, have the same types and live where they
// should.
void check_parity(const Case& c, Device device, DType dtype, const Layout* layout = nullptr);

}  // namespace engine::test
