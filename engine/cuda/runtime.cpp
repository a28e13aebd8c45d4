#include "engine/cuda/runtime.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <vector>

#include "engine/cuda/architecture.h"
#include "engine/cuda/per_device.h"

namespace engine::cuda {
namespace {

// RIDE_CUDA_SYNC=1 waits after every launch, so that an error is thrown by the op that made it.
bool waits_after_launches() {
  static const bool waits = [] {
    const char* text = std::getenv("RIDE_CUDA_SYNC");
    return text && std::string(text) != "0";
  }();
  return waits;
}

// Errors of kernels that ran: any call that comes later returns them, and tells nothing about itself by it.
bool is_of_work(cudaError_t status) {
  switch (status) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure: return true;
    default: return false;
  }
}

// Throws where none of this build's kernels runs on the current device. (The newest are also there as PTX, from which a
// driver makes code for devices to come.)
void check_architecture(const cudaDeviceProp& p, int device) {
  const cudaError_t status = kernel_status();
  if (status != cudaSuccess) cudaGetLastError();
  check(status != cudaErrorNoKernelImageForDevice && status != cudaErrorInvalidDeviceFunction &&
            status != cudaErrorUnsupportedPtxVersion,
        "cuda",
        "cuda:{} ({}) is of architecture {}{}, the kernels of this build are for {} and newer ({}): configure it with "
        "-Dgpu_arch={}{}, or use --device cpu",
        device, p.name, p.major, p.minor, RIDE_GPU_ARCH, cudaGetErrorName(status), p.major, p.minor);
  check_call(status, "cudaFuncGetAttributes", __FILE__, __LINE__);
}

// The context that the calling thread used last.
thread_local const Context* used = nullptr;

}  // namespace

void check_call(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) [[likely]]
    return;
  if (used && is_of_work(status)) used->fail_for_work(status);
  fail("cuda", "{} failed at {}:{}: {} ({})", call, file, line, cudaGetErrorString(status), cudaGetErrorName(status));
}

// A capture allows no such question, and its work has not run.
void check_work() {
  if (!used || used->recording()) return;
  if (const cudaError_t status = cudaStreamQuery(used->stream()); is_of_work(status)) used->fail_for_work(status);
}

// Does not wait for the default stream, which nothing here uses.
Stream make_stream() {
  cudaStream_t stream = nullptr;
  ENGINE_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return Stream(stream);
}

Event make_event(unsigned flags) {
  cudaEvent_t event = nullptr;
  ENGINE_CUDA(cudaEventCreateWithFlags(&event, flags));
  return Event(event);
}

Context::Context(int device) : device_(device) {
  ENGINE_CUDA(cudaSetDevice(device));
  ENGINE_CUDA(cudaGetDeviceProperties(&properties_, device));
  check_architecture(properties_, device);
  stream_ = make_stream();
  void* fault = nullptr;
  ENGINE_CUDA(cudaHostAlloc(&fault, sizeof(Fault), cudaHostAllocMapped));
  fault_ = new (fault) Fault;
}

Context::~Context() {
  if (used == this) used = nullptr;
}

void Context::use() const {
  used = this;
  ENGINE_CUDA(cudaSetDevice(device_));
}

void Context::launched(const char* op) {
  recent_[launches_++ % recent_.size()] = op;
  const cudaError_t status = cudaGetLastError();
  if (is_of_work(status)) [[unlikely]]
    fail_for_work(status);
  if (status != cudaSuccess) [[unlikely]]
    fail(op, "the launch failed on cuda:{}: {} ({})", device_, cudaGetErrorString(status), cudaGetErrorName(status));
  if (waits_after_launches() && !recording_) synchronize();
}

void Context::check_waits() const {
  check(!recording_, "cuda", "a step that is being recorded waits for the device: read its results after it");
}

void Context::synchronize() {
  check_waits();
  use();
  const cudaError_t status = cudaStreamSynchronize(stream());
  if (status != cudaSuccess) [[unlikely]]
    fail_for_work(status);
  launches_ = 0;
  if (fault_->raised) [[unlikely]]
    report_fault();
}

void Context::fail_for_work(cudaError_t status) const {
  fail("cuda", "work on cuda:{} failed: {} ({}). It was one of the last ops: {}; RIDE_CUDA_SYNC=1 tells which", device_,
       cudaGetErrorString(status), cudaGetErrorName(status), recent_ops());
}

void Context::report_fault() {
  const Fault fault = *fault_;
  *fault_ = {};
  fail(reinterpret_cast<const char*>(fault.op), "index {} is out of range for an axis of size {}", fault.value,
       fault.size);
}

std::string Context::recent_ops() const {
  std::vector<const char*> names;
  const std::size_t count = std::min(launches_, recent_.size());
  for (std::size_t i = launches_ - count; i < launches_; ++i) names.push_back(recent_[i % recent_.size()]);
  if (names.empty()) return "none";
  return fmt::format("{}{}", launches_ > count ? fmt::format("{} earlier ones, ", launches_ - count) : "",
                     fmt::join(names, ", "));
}

Context& context(int device) { return per_device<Context>(device); }

}  // namespace engine::cuda
