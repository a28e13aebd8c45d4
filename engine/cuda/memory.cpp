#include "engine/cuda/memory.h"

#include <memory>
#include <mutex>
#include <vector>

#include "engine/cuda/fill.h"
#include "engine/cuda/runtime.h"

namespace engine::cuda {
namespace {

class DeviceBlocks : public BlockSource {
 public:
  explicit DeviceBlocks(Context& context) : c_(context) {}

  void* allocate(std::size_t bytes) override {
    c_.use();
    void* pointer = nullptr;
    const cudaError_t status = cudaMalloc(&pointer, bytes);
    if (status == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // it would be found by the next launch
      return nullptr;
    }
    ENGINE_CUDA(status);
    return pointer;
  }
  // cudaFree waits until the device has done with the block.
  void release(void* block) override { cudaFree(block); }

 private:
  Context& c_;
};

// All work of a device runs on one stream, so a block that is released may be handed out again at once: what still
// reads it was launched before what will write it.
class CudaMemory : public DeviceMemory {
 public:
  std::byte* allocate(std::size_t bytes, int device) override {
    return static_cast<std::byte*>(blocks(device).allocate(bytes));
  }
  void release(std::byte* pointer, std::size_t bytes, int device) noexcept override {
    blocks(device).release(pointer, bytes);
  }

  void copy_to_host(std::byte* host, const std::byte* source, std::size_t bytes, int device) override {
    Context& c = context(device);
    c.use();
    ENGINE_CUDA(cudaMemcpyAsync(host, source, bytes, cudaMemcpyDeviceToHost, c.stream()));
    c.synchronize();
  }
  // From pageable memory the runtime takes the bytes before it returns.
  void copy_from_host(std::byte* target, const std::byte* host, std::size_t bytes, int device) override {
    Context& c = context(device);
    c.use();
    ENGINE_CUDA(cudaMemcpyAsync(target, host, bytes, cudaMemcpyHostToDevice, c.stream()));
  }
  void fill(std::byte* target, const std::byte* element, std::size_t element_size, std::size_t count,
            int device) override {
    fill_memory(context(device), target, element, element_size, count);
  }

  void synchronize(int device) override { context(device).synchronize(); }
  AllocatorStats stats(int device) const override { return blocks(device).stats(); }
  void reset_peak(int device) override { blocks(device).reset_peak(); }
  void set_limit(std::size_t bytes, int device) override { blocks(device).set_limit(bytes); }

 private:
  CachingAllocator& blocks(int device) const {
    const std::lock_guard lock(mutex_);
    const auto at = static_cast<std::size_t>(device);
    if (blocks_.size() <= at) blocks_.resize(at + 1);
    if (!blocks_[at])
      blocks_[at] = std::make_unique<CachingAllocator>(fmt::format("cuda:{}", device),
                                                       std::make_unique<DeviceBlocks>(context(device)));
    return *blocks_[at];
  }

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<CachingAllocator>> blocks_;
};

}  // namespace

// Never destroyed: tensors may outlive static destruction.
DeviceMemory& memory() {
  static auto* memory = new CudaMemory;
  return *memory;
}

}  // namespace engine::cuda
