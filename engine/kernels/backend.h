// A back end beside the CPU's, as the build provides it: engine/cuda, or without_cuda.cpp in its place.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "engine/core/device_memory.h"
#include "engine/kernels/select.h"
#include "engine/kernels/step_graph.h"

namespace engine {

struct Backend {
  KernelTable table;
  DeviceMemory* memory = nullptr;
  int devices = 0;
  std::string (*describe)(int device) = nullptr;  // name, memory, driver and library versions, in one line
  std::shared_ptr<profile::Clock> (*clock)(int device) = nullptr;
  // Calls `step` once and records what it gives the device to do, which is not done yet.
  std::unique_ptr<Recording> (*record)(int device, const std::function<void()>& step) = nullptr;
};

// Opened at the first call. Throws Error that says what is missing: the back end in this build, the driver, a library
// or a device.
const Backend& cuda_backend();

}  // namespace engine
