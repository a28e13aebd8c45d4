// What a device can do at best: the yardstick for what its kernels reach. Measured, as no data sheet knows the clock.
#pragma once
#include "engine/core/profile.h"
#include "engine/kernels/slot.h"

namespace engine {

struct PeakKernels {
  // f32 multiply-adds on registers, and a triad y = a + s b over arrays larger than any cache, on as many threads as
  // are set. Takes about half a second.
  Slot<profile::Peaks()> measure{"peak"};
};

}  // namespace engine
