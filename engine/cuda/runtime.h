// The CUDA runtime as the back end uses it: checked calls, streams and events that free themselves, and one Context
// for each device.
#pragma once
#include <cuda_runtime.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "engine/core/error.h"

namespace engine::cuda {

// Throws Error unless the call succeeded: with the call, its place and CUDA's words, or, where the call only tells what
// happened to work that was launched before it, as Context::synchronize().
void check_call(cudaError_t status, const char* call, const char* file, int line);
#define ENGINE_CUDA(call) ::engine::cuda::check_call((call), #call, __FILE__, __LINE__)

// Throws, as Context::synchronize() but without a wait, if work on the device that the calling thread uses has failed:
// for calls of vendor libraries, which fail after it and know no reason.
void check_work();

// Owns a handle of the runtime.
template <class Handle, cudaError_t (*destroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Owned() {
    if (handle_) destroy(handle_);
  }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;

Stream make_stream();
Event make_event(unsigned flags = cudaEventDisableTiming);

// What kernels write when they meet a value that they can't work with. It lies in host memory that the device sees.
struct Fault {
  uint32_t raised = 0;
  uint64_t op = 0;  // address of the op's name, a string literal
  int64_t value = 0, size = 0;
};

// A device, with what is shared by all ops on it. For one thread at a time, like the tensors on it.
class Context {
 public:
  explicit Context(int device);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int device() const { return device_; }
  cudaStream_t stream() const { return stream_.get(); }
  const cudaDeviceProp& properties() const { return properties_; }
  int multiprocessors() const { return properties_.multiProcessorCount; }

  // Makes this device the runtime's current one for the calling thread.
  void use() const;
  // Called after each launch: throws what the launch itself ran into, and remembers `op` for errors that come later.
  // Where it meets such a later error of work that was launched before, it throws as synchronize() does.
  void launched(const char* op);
  // Waits for everything launched. Throws for what failed, with the ops it may have been; and while recording.
  void synchronize();

  // Throws where nobody may wait for the device: while recording.
  void check_waits() const;

  // While work is recorded instead of done.
  bool recording() const { return recording_; }
  void set_recording(bool on) { recording_ = on; }

  // Throws for work that ended with `status`, with the ops it may have been.
  [[noreturn]] void fail_for_work(cudaError_t status) const;

  // Where the kernels of `op` report; looked at by synchronize().
  Fault* fault() const { return fault_; }

 private:
  void report_fault();
  std::string recent_ops() const;

  int device_;
  cudaDeviceProp properties_{};
  Stream stream_;
  Fault* fault_ = nullptr;
  bool recording_ = false;
  std::array<const char*, 16> recent_{};  // a ring of the ops launched since the last synchronize()
  std::size_t launches_ = 0;
};

// The context of cuda:`device`, made at the first call.
Context& context(int device);

}  // namespace engine::cuda
