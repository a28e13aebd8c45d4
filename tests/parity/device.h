// The device under test. Tests that include this are linked into two programs: tests/emulator's, whose device is
// emulated, and tests/gpu's, whose device is real.
#pragma once
#include <doctest/doctest.h>

#include <functional>

#include "engine/core/numerics.h"
#include "engine/kernels/select.h"

namespace engine::test {

// Defined by each program: makes an emulated device forget a fault, so that one failure stays one.
void recover();
// How many steps a training that is compared takes: an emulated one is slow.
int training_steps();
// Calls f once for each order in which the emulator runs blocks and threads; once on a real device, which has its own.
void in_every_order(const std::function<void()>& f);

// The device under test, in strict f32 as the CPU. Where there is none, leaves the test case with a message that counts
// as skipped.
#define DEVICE_OR_SKIP(device)                         \
  [[maybe_unused]] ::engine::Device device;            \
  try {                                                \
    device = ::engine::open_device("cuda");            \
    ::engine::allow_tf32(false);                       \
  } catch (const ::engine::Error& error) {             \
    MESSAGE("skipped: " << std::string(error.what())); \
    return;                                            \
  }

// While it lives, what runs twice gives the same bits twice: cuDNN's own choice may not.
class Deterministic {
 public:
  Deterministic() { deterministic(true); }
  ~Deterministic() { deterministic(before_); }
  Deterministic(const Deterministic&) = delete;
  Deterministic& operator=(const Deterministic&) = delete;

 private:
  bool before_ = numerics().deterministic;
};

}  // namespace engine::test
