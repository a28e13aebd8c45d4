// What tensors ask of the memory of a device other than the CPU: a back end registers one of these when it is opened.
#pragma once
#include <cstddef>

#include "engine/core/allocator.h"
#include "engine/core/device.h"

namespace engine {

// Work on a device runs in the order in which it was given, copies and releases included: memory that is released
// here may still be read by kernels that were launched before.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;

  // At least `bytes`. Throws Error where the device has no memory left, naming the largest blocks in use.
  virtual std::byte* allocate(std::size_t bytes, int device) = 0;
  virtual void release(std::byte* pointer, std::size_t bytes, int device) noexcept = 0;

  // The first returns when the bytes have arrived; after the second the host's may be changed, though the bytes are on
  // their way still: it does not wait for the device's earlier work.
  virtual void copy_to_host(std::byte* host, const std::byte* source, std::size_t bytes, int device) = 0;
  virtual void copy_from_host(std::byte* target, const std::byte* host, std::size_t bytes, int device) = 0;
  // `count` copies of the element of 1, 2, 4 or 8 bytes at `element`.
  virtual void fill(std::byte* target, const std::byte* element, std::size_t element_size, std::size_t count,
                    int device) = 0;

  // Waits for all work. Throws Error for work that failed, naming its op.
  virtual void synchronize(int device) = 0;

  virtual AllocatorStats stats(int device) const = 0;
  virtual void reset_peak(int device) = 0;
  virtual void set_limit(std::size_t bytes, int device) = 0;  // 0: no limit
};

// `memory` stays for as long as the program runs.
void register_memory(DeviceType type, DeviceMemory* memory);
// Throws Error for the CPU, and for a type of device that was not opened (engine/kernels/select.h).
DeviceMemory& memory_of(Device device);

}  // namespace engine
