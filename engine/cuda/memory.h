// The memory of CUDA devices: a caching allocator for each, and copies to and from the host.
#pragma once
#include "engine/core/device_memory.h"

namespace engine::cuda {

DeviceMemory& memory();

}  // namespace engine::cuda
