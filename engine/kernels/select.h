// The kernel tables of a device. select.cpp is the one file that knows which back ends this build has.
#pragma once
#include "engine/kernels/conv.h"
#include "engine/kernels/elementwise.h"
#include "engine/kernels/index.h"
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
  OptimKernels optim;
  PeakKernels peak;
};

// Throws when this build has no back end for the device.
const KernelTable& kernels(Device device);
inline const KernelTable& kernels(const Tensor& x) { return kernels(x.device()); }

}  // namespace engine
