// What a device can do at best: the yardstick for what its kernels reach. Measured, as no data sheet knows the clock.
#pragma once
#include "engine/core/dtype.h"
#include "engine/core/profile.h"
#include "engine/kernels/slot.h"

namespace engine {

struct PeakKernels {
  // Multiply-adds as convolutions and products of `factors` (f32, bf16, f16) may use them, and a triad y = a + s b over
  // arrays larger than any cache. The CPU counts f32's on registers, whatever the factors, on as many threads as are
  // set; a device with tensor cores counts a large product's where the factors are of 16 bits or may be rounded to TF32
  // (numerics()). Takes about half a second.
  Slot<profile::Peaks(DType factors)> measure{"peak"};
};

}  // namespace engine
