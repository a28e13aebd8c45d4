#include "engine/cuda/memory.h"

#include <memory>
#include <mutex>
#include <unordered_map>

#include "engine/cuda/fill.h"
#include "engine/cuda/per_device.h"
#include "engine/cuda/runtime.h"
#include "engine/cuda/staging.h"

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
  void release(void* block, std::size_t) override { cudaFree(block); }

 private:
  Context& c_;
};

// What a recording's pool is made of: blocks of the device's main pool, idle ones first. There they count as in use,
// and there is where a limit or a full device is met: the main pool gives its idle blocks back and keeps these, as
// kernels that were recorded still read and write what the recording itself has released.
class MainBlocks : public BlockSource {
 public:
  explicit MainBlocks(std::shared_ptr<CachingAllocator> main) : main_(std::move(main)) {}

  void* allocate(std::size_t bytes) override { return main_->allocate(bytes); }
  void release(void* block, std::size_t bytes) override { main_->release(block, bytes); }

 private:
  std::shared_ptr<CachingAllocator> main_;
};

// All work of a device runs on one stream, so a block that is released may be handed out again at once: what still
// reads it was launched before what will write it.
class Pools {
 public:
  explicit Pools(int device)
      : where_(fmt::format("cuda:{}", device)),
        main_(std::make_shared<CachingAllocator>(where_, std::make_unique<DeviceBlocks>(context(device)))),
        current_(main_) {}

  std::byte* allocate(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    void* block = current_->allocate(bytes);
    if (current_ != main_) owners_[block] = current_;
    return static_cast<std::byte*>(block);
  }
  void release(void* block, std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    const auto owner = owners_.find(block);
    if (owner == owners_.end()) return main_->release(block, bytes);
    owner->second->release(block, bytes);
    owners_.erase(owner);
  }
  std::shared_ptr<CachingAllocator> main() const { return main_; }
  std::shared_ptr<CachingAllocator> current() const { return current_; }
  void begin_private() { current_ = std::make_shared<CachingAllocator>(where_, std::make_unique<MainBlocks>(main_)); }
  void end_private() { current_ = main_; }

 private:
  std::string where_;
  std::mutex mutex_;
  std::shared_ptr<CachingAllocator> main_, current_;
  std::unordered_map<void*, std::shared_ptr<CachingAllocator>> owners_;  // of blocks that are not main_'s
};

Pools& pools(int device) { return per_device<Pools>(device); }

class CudaMemory : public DeviceMemory {
 public:
  std::byte* allocate(std::size_t bytes, int device) override { return pools(device).allocate(bytes); }
  void release(std::byte* pointer, std::size_t bytes, int device) noexcept override {
    pools(device).release(pointer, bytes);
  }

  void copy_to_host(std::byte* host, const std::byte* source, std::size_t bytes, int device) override {
    Context& c = context(device);
    c.check_waits();  // before the copy is recorded
    c.use();
    ENGINE_CUDA(cudaMemcpyAsync(host, source, bytes, cudaMemcpyDeviceToHost, c.stream()));
    c.synchronize();
  }
  void copy_from_host(std::byte* target, const std::byte* host, std::size_t bytes, int device) override {
    check(!context(device).recording(), "cuda",
          "a step that is being recorded copies from the host: make such tensors before it");
    staging(device).copy(target, host, bytes);
  }
  void fill(std::byte* target, const std::byte* element, std::size_t element_size, std::size_t count,
            int device) override {
    fill_memory(context(device), target, element, element_size, count);
  }

  void synchronize(int device) override { context(device).synchronize(); }
  AllocatorStats stats(int device) const override { return pools(device).main()->stats(); }
  void reset_peak(int device) override { pools(device).main()->reset_peak(); }
  void set_limit(std::size_t bytes, int device) override { pools(device).main()->set_limit(bytes); }
};

}  // namespace

PrivatePool::PrivatePool(int device) : device_(device) { pools(device).begin_private(); }
PrivatePool::~PrivatePool() { pools(device_).end_private(); }
std::shared_ptr<void> PrivatePool::memory() const { return pools(device_).current(); }

DeviceMemory& memory() {
  static auto* memory = new CudaMemory;
  return *memory;
}

}  // namespace engine::cuda
