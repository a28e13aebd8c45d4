#pragma once
#include <cuda_runtime.h>

namespace engine::cuda {

// What the runtime says of this build's kernels on the current device: an error where none of them is compiled for it.
cudaError_t kernel_status();

}  // namespace engine::cuda
