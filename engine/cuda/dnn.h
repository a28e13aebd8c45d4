// cuDNN: the library, and a handle for each device.
#pragma once
#include <string>

#include "engine/cuda/runtime.h"

struct cudnnContext;  // what a cudnnHandle_t points to

namespace engine::cuda {

// The library's handle for dlsym, opened at the first call (versions.h). Throws Error with what is missing.
void* cudnn_library();
std::string cudnn_version();  // "9.19.0"

// The handle for the device of `c`, made at the first call; its work goes to the stream of `c`.
cudnnContext* cudnn_handle(const Context& c);

}  // namespace engine::cuda
