// The parity suite compares a device with the CPU.
#pragma once
#include "tests/ops/cases.h"
#include "tests/parity/device.h"

namespace engine::test {

struct Kind {
  DType dtype = DType::f32;
  const Layout* layout = nullptr;  // null: contiguous
  bool f32_parameters = false;     // beside 16-bit activations, as Autocast has it
};

// Runs a case on the CPU and on the device, forward and backward, with the same inputs and gradient of that kind, and
// checks that outputs and gradients agree, have the same types and live where they should.
void check_parity(const Case& c, Device device, const Kind& kind);

}  // namespace engine::test
