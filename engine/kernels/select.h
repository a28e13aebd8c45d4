// The kernel tables of a device. select.cpp is the one file that knows which back ends this build has.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "engine/core/profile.h"
#include "engine/kernels/conv.h"
#include "engine/kernels/elementwise.h"
#include "engine/kernels/image.h"
#include "engine/kernels/index.h"
#include "engine/kernels/loss.h"
#include "engine/kernels/matmul.h"
#include "engine/kernels/norm.h"
#include "engine/kernels/optim.h"
#include "engine/kernels/peak.h"
#include "engine/kernels/pool.h"
#include "engine/kernels/reduce.h"

namespace engine {

struct KernelTable {
  ElementwiseKernels elementwise;
  ReduceKernels reduce;
  IndexKernels index;
  ConvKernels conv;
  MatmulKernels matmul;
  NormKernels norm;
  PoolKernels pool;
  LossKernels loss;
  OptimKernels optim;
  ImageKernels image;
  PeakKernels peak;
};

// "cpu", "cuda" (its first device), "cuda:<index>", or "auto": the first CUDA device where nothing is missing for one,
// else the CPU.
// Tensors can be made on a device once it was opened. Throws Error that says what is missing for the device: the back
// end in this build, the driver, a library, the device itself.
Device open_device(std::string_view name);

// Waits for what was given to the device to do; nothing to wait for on the CPU. Throws Error for work that failed.
void synchronize(Device device);

// "NVIDIA H100 80GB HBM3, 79.2 GiB, driver ...": for the record of a run; "cpu" for the CPU.
std::string describe(Device device);

// What profile::set_clock takes to time the device's work; null for the CPU, whose time is its caller's.
std::shared_ptr<profile::Clock> clock_of(Device device);

// Throws when this build has no back end for the device.
const KernelTable& kernels(Device device);
inline const KernelTable& kernels(const Tensor& x) { return kernels(x.device()); }

}  // namespace engine
