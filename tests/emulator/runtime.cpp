// The CUDA runtime's host side: memory with guard zones around every block, and streams whose work runs only when
// somebody waits for it, so that a missing wait or a host buffer changed too early shows.
#include <cuda_runtime.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/emulator/planning.h"

namespace emulator {

struct Event {
  Stream* stream = nullptr;
  std::size_t position = 0;  // items of that stream before it
  std::chrono::steady_clock::time_point time{};
};

struct Graph {
  std::vector<std::function<void()>> work;
};
struct GraphExec {
  std::vector<std::function<void()>> work;
};

struct Stream {
  std::deque<std::function<void()>> queue;
  std::size_t done = 0;  // items run so far
  std::unique_ptr<Graph> capture;
  bool allows_unsafe_calls = true;  // such as cudaMalloc, while it is captured
};

namespace {

constexpr std::size_t guard_bytes = 256;
constexpr std::byte guard_value{0xe7};

struct Block {
  std::byte* base;
  std::size_t bytes;
  bool reserved = false;  // address space only
};
std::map<std::byte*, Block> device_blocks, host_blocks;
std::size_t memory_bytes = std::size_t{1} << 34, memory_used = 0;
std::vector<Stream*> streams;
cudaError_t last_error = cudaSuccess;
cudaError_t sticky_error = cudaSuccess;  // after a fault the device is lost, as on a GPU, until take_fault()
std::string fault_text;
std::function<void(const Launch&)> see_launch;  // null: everything runs
int multiprocessors = 4;
Machine the_machine;

cudaError_t result(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

std::byte* guarded(std::map<std::byte*, Block>& blocks, std::size_t bytes) {
  const std::size_t whole = (bytes + 2 * guard_bytes + 255) / 256 * 256;
  auto* base = static_cast<std::byte*>(std::aligned_alloc(256, whole));
  std::fill_n(base, whole, guard_value);
  blocks[base + guard_bytes] = {base, bytes};
  return base + guard_bytes;
}

// Address space without memory behind it.
std::byte* reserved(std::map<std::byte*, Block>& blocks, std::size_t bytes) {
  void* base = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return nullptr;
  auto* pointer = static_cast<std::byte*>(base);
  blocks[pointer] = {pointer, bytes, true};
  return pointer;
}

bool guards_hold(std::byte* pointer, const Block& b) {
  for (std::size_t i = 0; i < guard_bytes; ++i)
    if (b.base[i] != guard_value || pointer[b.bytes + i] != guard_value) return false;
  return true;
}

bool release(std::map<std::byte*, Block>& blocks, void* pointer) {
  const auto found = blocks.find(static_cast<std::byte*>(pointer));
  if (found == blocks.end()) return false;
  if (found->second.reserved) {
    munmap(found->second.base, found->second.bytes);
    blocks.erase(found);
    return true;
  }
  if (!guards_hold(found->first, found->second)) fault_text = "something was written beside a block of memory";
  std::free(found->second.base);
  blocks.erase(found);
  return true;
}

bool is_inside(const std::map<std::byte*, Block>& blocks, const void* pointer, std::size_t bytes) {
  auto at = blocks.upper_bound(static_cast<std::byte*>(const_cast<void*>(pointer)));
  if (at == blocks.begin()) return false;
  --at;
  return static_cast<const std::byte*>(pointer) + bytes <= at->first + at->second.bytes;
}

void run_until(Stream& stream, std::size_t position) {
  while (stream.done < position && !stream.queue.empty()) {
    const std::function<void()> work = std::move(stream.queue.front());
    stream.queue.pop_front();
    ++stream.done;
    if (sticky_error != cudaSuccess) continue;
    try {
      work();
    } catch (const std::exception& error) {
      sticky_error = cudaErrorIllegalAddress;
      fault_text = error.what();
    }
  }
}

// Calls that ask the system for something are refused by a capture, unless it is relaxed.
bool capture_forbids() {
  return std::any_of(streams.begin(), streams.end(),
                     [](const Stream* stream) { return stream->capture && !stream->allows_unsafe_calls; });
}

std::size_t end_of(const Stream& stream) { return stream.done + stream.queue.size(); }

}  // namespace

void enqueue(Stream* stream, std::function<void()> work) {
  if (planning()) return;
  if (stream->capture)
    stream->capture->work.push_back(std::move(work));
  else
    stream->queue.push_back(std::move(work));
}

std::string take_fault() {
  sticky_error = last_error = cudaSuccess;
  return std::exchange(fault_text, std::string());
}

void set_memory(std::size_t bytes) { memory_bytes = bytes; }
void set_machine(const Machine& machine) { the_machine = machine; }
const Machine& machine() { return the_machine; }

void plan_launches(std::function<void(const Launch&)> see) { see_launch = std::move(see); }
bool planning() { return see_launch != nullptr; }
void planned(const Launch& launch) { see_launch(launch); }
void set_multiprocessors(int count) { multiprocessors = count; }

}  // namespace emulator

using namespace emulator;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorNoKernelImageForDevice: return "cudaErrorNoKernelImageForDevice";
    case cudaErrorStreamCaptureUnsupported: return "cudaErrorStreamCaptureUnsupported";
    default: return "cudaErrorInvalidValue";
  }
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorIllegalAddress && !fault_text.empty() ? fault_text.c_str() : cudaGetErrorName(error);
}
cudaError_t cudaGetLastError() {
  const cudaError_t error = std::exchange(last_error, cudaSuccess);
  return sticky_error != cudaSuccess ? sticky_error : error;
}
cudaError_t cudaPeekAtLastError() { return sticky_error != cudaSuccess ? sticky_error : last_error; }

cudaError_t cudaDriverGetVersion(int* version) {
  *version = the_machine.driver;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (the_machine.driver < CUDART_VERSION / 1000 * 1000) return result(cudaErrorInsufficientDriver);
  if (the_machine.devices == 0) return result(cudaErrorNoDevice);
  *count = the_machine.devices;
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, void (*)()) {
  *attributes = {.numRegs = 8};
  return the_machine.kernels ? cudaSuccess : result(cudaErrorNoKernelImageForDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return result(cudaErrorInvalidDevice);
  *properties = {"emulated device", memory_bytes, 48 << 10, multiprocessors, 2048, 9, 0, 16 << 10};
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device == 0 ? result(sticky_error) : result(cudaErrorInvalidDevice); }
cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* available, std::size_t* total) {
  *available = memory_bytes - std::min(memory_bytes, memory_used);
  *total = memory_bytes;
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  if (sticky_error != cudaSuccess) return result(sticky_error);
  if (capture_forbids()) return result(cudaErrorStreamCaptureUnsupported);
  if (memory_used + bytes > memory_bytes) return result(cudaErrorMemoryAllocation);
  memory_used += bytes;
  *pointer = planning() ? reserved(device_blocks, bytes) : guarded(device_blocks, bytes);
  return *pointer ? cudaSuccess : result(cudaErrorMemoryAllocation);
}
cudaError_t cudaFree(void* pointer) {
  if (!pointer) return cudaSuccess;
  if (capture_forbids()) return result(cudaErrorStreamCaptureUnsupported);
  cudaDeviceSynchronize();
  const auto found = device_blocks.find(static_cast<std::byte*>(pointer));
  if (found == device_blocks.end()) return result(cudaErrorInvalidValue);
  memory_used -= found->second.bytes;
  release(device_blocks, pointer);
  return cudaSuccess;
}
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  *pointer = guarded(host_blocks, bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* pointer) {
  return release(host_blocks, pointer) ? cudaSuccess : result(cudaErrorInvalidValue);
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (sticky_error != cudaSuccess) return result(sticky_error);
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (to_device && !is_inside(device_blocks, to, bytes)) return result(cudaErrorInvalidValue);
  if (from_device && !is_inside(device_blocks, from, bytes)) return result(cudaErrorInvalidValue);
  if (planning()) return cudaSuccess;
  // Pageable memory is read at once, after the wait for the stream that a driver may need; pinned memory when the
  // copy's turn has come.
  if (!from_device && !is_inside(host_blocks, from, bytes)) {
    if (!stream->capture) run_until(*stream, end_of(*stream));
    const auto* source = static_cast<const std::byte*>(from);
    enqueue(stream, [to, taken = std::vector<std::byte>(source, source + bytes)] {
      std::memcpy(to, taken.data(), taken.size());
    });
  } else {
    enqueue(stream, [to, from, bytes] { std::memcpy(to, from, bytes); });
  }
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (sticky_error != cudaSuccess) return result(sticky_error);
  if (!is_inside(device_blocks, to, bytes)) return result(cudaErrorInvalidValue);
  enqueue(stream, [to, value, bytes] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new Stream;
  streams.push_back(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  run_until(*stream, end_of(*stream));
  std::erase(streams, stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream->capture) return result(cudaErrorStreamCaptureUnsupported);
  run_until(*stream, end_of(*stream));
  return result(sticky_error);
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  if (stream->capture) return result(cudaErrorStreamCaptureUnsupported);
  if (sticky_error != cudaSuccess) return result(sticky_error);
  return stream->queue.empty() ? cudaSuccess : cudaErrorNotReady;
}
cudaError_t cudaDeviceSynchronize() {
  for (Stream* stream : streams) run_until(*stream, end_of(*stream));
  return result(sticky_error);
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  if (event->stream) enqueue(stream, [other = event->stream, at = event->position] { run_until(*other, at); });
  return cudaSuccess;
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new Event;
  return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  if (event->stream) run_until(*event->stream, event->position);
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  enqueue(stream, [event] { event->time = std::chrono::steady_clock::now(); });
  event->stream = stream;
  event->position = end_of(*stream);
  return cudaSuccess;
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (event->stream) run_until(*event->stream, event->position);
  return result(sticky_error);
}
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->stream || !end->stream) return result(cudaErrorInvalidValue);
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  stream->allows_unsafe_calls = mode == cudaStreamCaptureModeRelaxed;
  stream->capture = std::make_unique<Graph>();
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = stream->capture.release();
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  *exec = new GraphExec{graph->work};
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  enqueue(stream, [exec] {
    for (const auto& work : exec->work) work();
  });
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  cudaDeviceSynchronize();
  delete exec;
  return cudaSuccess;
}
