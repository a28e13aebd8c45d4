// A back end beside the CPU's, as the build provides it: engine/cuda, or without_cuda.cpp in its place.
#pragma once
#include <string>

#include "engine/core/device_memory.h"
#include "engine/kernels/select.h"

namespace engine {

struct Backend {
  KernelTable table;
  DeviceMemory* memory = nullptr;
  int devices = 0;
  std::string (*describe)(int device) = nullptr;  // name, memory, driver and library versions, in one line
};

// Opened at the first call. Throws Error that says what is missing: the back end in this build, the driver, a library
// or a device.
const Backend& cuda_backend();

}  // namespace engine
