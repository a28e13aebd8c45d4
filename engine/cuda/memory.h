// The memory of CUDA devices: a caching allocator for each, and copies to and from the host.
#pragma once
#include <memory>

#include "engine/core/device_memory.h"

namespace engine::cuda {

DeviceMemory& memory();

// While it lives, blocks for tensors on `device` come from a pool of their own. What is released goes back to the pool
// it came from, and nobody else gets it: a recorded step finds its blocks as they were whenever it is replayed. In the
// device's statistics, and to its limit, all of the pool counts as in use.
class PrivatePool {
 public:
  explicit PrivatePool(int device);
  ~PrivatePool();
  PrivatePool(const PrivatePool&) = delete;
  PrivatePool& operator=(const PrivatePool&) = delete;

  // Keeps the pool for as long as a copy of this lives; the blocks of tensors keep it too.
  std::shared_ptr<void> memory() const;

 private:
  int device_;
};

}  // namespace engine::cuda
