#include "engine/core/storage.h"

#include "engine/core/allocator.h"
#include "engine/core/error.h"

namespace engine {

Storage::Storage(std::size_t bytes, Device device) : bytes_(bytes), device_(device) {
  check(device.type == DeviceType::cpu, "storage", "this build has no back end for device {}", name(device));
  if (bytes) data_ = static_cast<std::byte*>(cpu_allocator().allocate(bytes));
}

Storage::~Storage() {
  if (data_) cpu_allocator().release(data_, bytes_);
}

}  // namespace engine
