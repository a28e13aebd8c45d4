// A block of memory that tensors share.
#pragma once
#include <cstddef>
#include <memory>

#include "engine/core/device.h"

namespace engine {

class Storage {
 public:
  Storage(std::size_t bytes, Device device);  // uninitialised
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::byte* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_;
};

}  // namespace engine
