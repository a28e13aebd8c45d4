#include "engine/core/device_memory.h"

#include <atomic>

#include "engine/core/error.h"

namespace engine {
namespace {
std::atomic<DeviceMemory*> cuda_memory{nullptr};
}

void register_memory(DeviceType type, DeviceMemory* memory) {
  check(type == DeviceType::cuda, "register_memory", "the CPU's memory is the host's own");
  cuda_memory = memory;
}

DeviceMemory& memory_of(Device device) {
  DeviceMemory* memory = device.type == DeviceType::cuda ? cuda_memory.load() : nullptr;
  check(memory != nullptr, "memory", "device {} was not opened: open_device(\"{}\") first", name(device), name(device));
  return *memory;
}

}  // namespace engine
