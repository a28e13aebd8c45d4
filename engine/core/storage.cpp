#include "engine/core/storage.h"

#include "engine/core/allocator.h"
#include "engine/core/device_memory.h"

namespace engine {

Storage::Storage(std::size_t bytes, Device device) : bytes_(bytes), device_(device) {
  if (!bytes) return;
  data_ = device.type == DeviceType::cpu ? static_cast<std::byte*>(cpu_allocator().allocate(bytes))
                                         : memory_of(device).allocate(bytes, device.index);
}

Storage::~Storage() {
  if (!data_) return;
  if (device_.type == DeviceType::cpu)
    cpu_allocator().release(data_, bytes_);
  else
    memory_of(device_).release(data_, bytes_, device_.index);
}

}  // namespace engine
