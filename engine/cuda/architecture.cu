// A kernel that does nothing: all are compiled for the same architectures.
#include "engine/cuda/architecture.h"

namespace engine::cuda {
namespace {

__global__ void empty_kernel() {}

}  // namespace

cudaError_t kernel_status() {
  cudaFuncAttributes attributes{};
  return cudaFuncGetAttributes(&attributes, empty_kernel);
}

}  // namespace engine::cuda
