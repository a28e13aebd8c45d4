// The emulated runtime's host side: when work runs, what it sees of the host's memory, graphs, and what a fault does to
// the calls after it.
#include <doctest/doctest.h>

#include <cstdlib>

#include "engine/cuda/device_code.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::cuda;

namespace {

Context& device_context() { return context(open_device("cuda").index); }

__global__ void add_one(Global<int64_t> y) { y[0] = y[0] + 1; }
__global__ void double_it(Global<int64_t> y) { y[0] = 2 * y[0]; }
__global__ void touch(Global<float> y, int64_t i) { y[i] = 1; }

// One i64 of device memory without a tensor around it.
struct Cell {
  Cell() { ENGINE_CUDA(cudaMalloc(&memory, sizeof(int64_t))); }
  ~Cell() { cudaFree(memory); }
  Global<int64_t> pointer() const { return memory_as<int64_t>(static_cast<std::byte*>(memory), 1); }
  // Past all queues: the emulated device's memory is the host's.
  int64_t now() const { return *static_cast<int64_t*>(memory); }
  void* memory = nullptr;
};

void put(const Cell& cell, int64_t value, cudaStream_t stream) {
  ENGINE_CUDA(cudaMemcpyAsync(cell.memory, &value, sizeof(value), cudaMemcpyHostToDevice, stream));
}

void run_on(cudaStream_t stream, void (*kernel)(Global<int64_t>), const Cell& cell) {
  emulator::enqueue(stream, [=, p = cell.pointer()] { emulator::run_kernel("cell", {}, {}, 0, [&] { kernel(p); }); });
}

}  // namespace

TEST_CASE("emulator: work runs when somebody waits for it, in its stream's order") {
  Context& c = device_context();
  const Cell cell;
  put(cell, 3, c.stream());
  launch("add_one", c, {.threads_x = 1}, add_one, cell.pointer());
  launch("double_it", c, {.threads_x = 1}, double_it, cell.pointer());
  CHECK(cell.now() != 8);
  c.synchronize();
  CHECK(cell.now() == 8);
}

TEST_CASE("emulator: events order streams, and nothing else does") {
  const Stream first = make_stream(), second = make_stream();
  const Cell cell;
  put(cell, 3, first.get());
  const Event ready = make_event(), done = make_event();
  ENGINE_CUDA(cudaEventRecord(ready.get(), first.get()));
  run_on(first.get(), add_one, cell);  // after the event: the second stream doesn't wait for it
  ENGINE_CUDA(cudaStreamWaitEvent(second.get(), ready.get()));
  run_on(second.get(), double_it, cell);
  ENGINE_CUDA(cudaEventRecord(done.get(), second.get()));
  ENGINE_CUDA(cudaEventSynchronize(done.get()));
  CHECK(cell.now() == 6);
  ENGINE_CUDA(cudaStreamSynchronize(first.get()));
  CHECK(cell.now() == 7);

  // Without the event the second stream is not held up.
  put(cell, 3, first.get());
  run_on(second.get(), double_it, cell);
  ENGINE_CUDA(cudaStreamSynchronize(second.get()));
  ENGINE_CUDA(cudaStreamSynchronize(first.get()));
  CHECK(cell.now() == 3);
}

TEST_CASE("emulator: pageable memory is copied at once, pinned memory when the copy's turn has come") {
  Context& c = device_context();
  const Cell cell;
  int64_t pageable = 5;
  ENGINE_CUDA(cudaMemcpyAsync(cell.memory, &pageable, sizeof(pageable), cudaMemcpyHostToDevice, c.stream()));
  pageable = 6;
  c.synchronize();
  CHECK(cell.now() == 5);

  void* memory = nullptr;
  ENGINE_CUDA(cudaHostAlloc(&memory, sizeof(int64_t), cudaHostAllocDefault));
  int64_t& pinned = *static_cast<int64_t*>(memory);
  pinned = 7;
  ENGINE_CUDA(cudaMemcpyAsync(cell.memory, memory, sizeof(int64_t), cudaMemcpyHostToDevice, c.stream()));
  pinned = 8;  // too early
  c.synchronize();
  CHECK(cell.now() == 8);

  // Back to the host: the bytes are there after a wait, not before.
  ENGINE_CUDA(cudaMemcpyAsync(&pageable, cell.memory, sizeof(pageable), cudaMemcpyDeviceToHost, c.stream()));
  CHECK(pageable == 6);
  c.synchronize();
  CHECK(pageable == 8);
  ENGINE_CUDA(cudaFreeHost(memory));
}

TEST_CASE("emulator: copies beyond a block are refused, and writes beside one are found when it is freed") {
  Context& c = device_context();
  const Cell cell;
  const int64_t two[2] = {1, 2};
  CHECK(cudaMemcpyAsync(cell.memory, two, sizeof(two), cudaMemcpyHostToDevice, c.stream()) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(cell.memory, 0, sizeof(two), c.stream()) == cudaErrorInvalidValue);
  CHECK(cudaFree(const_cast<int64_t*>(two)) == cudaErrorInvalidValue);
  emulator::take_fault();

  for (const int64_t beside : {int64_t{-1}, int64_t{sizeof(int64_t)}}) {
    void* memory = nullptr;
    ENGINE_CUDA(cudaMalloc(&memory, sizeof(int64_t)));
    static_cast<std::byte*>(memory)[beside] = std::byte{0};
    ENGINE_CUDA(cudaFree(memory));
    CHECK(contains(emulator::take_fault(), "written beside a block"));
  }
}

TEST_CASE("emulator: a captured graph runs when it is launched, as often as it is") {
  Context& c = device_context();
  const Cell cell;
  put(cell, 1, c.stream());
  c.synchronize();
  ENGINE_CUDA(cudaStreamBeginCapture(c.stream(), cudaStreamCaptureModeGlobal));
  launch("add_one", c, {.threads_x = 1}, add_one, cell.pointer());
  launch("double_it", c, {.threads_x = 1}, double_it, cell.pointer());
  // What would wait or ask the system for memory can't be captured.
  CHECK(cudaStreamSynchronize(c.stream()) == cudaErrorStreamCaptureUnsupported);
  void* memory = nullptr;
  CHECK(cudaMalloc(&memory, 8) == cudaErrorStreamCaptureUnsupported);
  CHECK(cudaFree(cell.memory) == cudaErrorStreamCaptureUnsupported);
  emulator::take_fault();
  cudaGraph_t graph = nullptr;
  ENGINE_CUDA(cudaStreamEndCapture(c.stream(), &graph));
  cudaGraphExec_t exec = nullptr;
  ENGINE_CUDA(cudaGraphInstantiate(&exec, graph));
  ENGINE_CUDA(cudaGraphDestroy(graph));
  c.synchronize();
  CHECK(cell.now() == 1);
  for (const int64_t expected : {4, 10, 22}) {
    ENGINE_CUDA(cudaGraphLaunch(exec, c.stream()));
    c.synchronize();
    CHECK(cell.now() == expected);
  }
  ENGINE_CUDA(cudaGraphExecDestroy(exec));
}

TEST_CASE("emulator: after a fault every call fails, as on a lost device, until the test takes it") {
  Context& c = device_context();
  const Tensor x = Tensor::full({4}, 1, {.device = open_device("cuda")});
  c.synchronize();
  launch("harmless", c, {.threads_x = 1}, touch, pointer<float>(x), int64_t{0});
  launch("culprit", c, {.threads_x = 1}, touch, pointer<float>(x), int64_t{4});
  launch("later", c, {.threads_x = 1}, touch, pointer<float>(x), int64_t{1});
  const std::string error = error_of([&] { c.synchronize(); });
  CHECK(contains(error, "work on cuda:0 failed: culprit, block (0, 0), thread (0, 0): touches element 4"));
  CHECK(contains(error, "cudaErrorIllegalAddress"));
  CHECK(contains(error, "one of the last ops: harmless, culprit, later; RIDE_CUDA_SYNC=1 tells which"));
  for (int again = 0; again < 2; ++again) {
    CHECK(contains(error_of([&] { x.to<float>(); }), "one of the last ops: harmless, culprit"));
    CHECK(contains(error_of([&] { launch("after", c, {.threads_x = 1}, touch, pointer<float>(x), int64_t{0}); }),
                   "one of the last ops: harmless, culprit"));
  }
  CHECK(contains(emulator::take_fault(), "culprit"));
  CHECK(emulator::take_fault() == "");
  CHECK((x + x).to<float>() == std::vector<float>(4, 2));
}

TEST_CASE("an error of work that ran ahead is not blamed on the call that meets it") {
  Context& c = device_context();
  const Tensor x = Tensor::full({4}, 1, {.device = open_device("cuda")});
  c.synchronize();
  const auto fault = [&] {
    launch("culprit", c, {.threads_x = 1}, touch, pointer<float>(x), int64_t{4});
    cudaStreamSynchronize(c.stream());  // beside the context, which hears of it later
    CHECK(cudaGetLastError() == cudaErrorIllegalAddress);
  };
  const auto meets = [&](const std::function<void()>& call) {
    fault();
    CHECK(contains(error_of(call), "[cuda] work on cuda:0 failed: culprit, block (0, 0), thread (0, 0)"));
    CHECK(contains(error_of(call), "(cudaErrorIllegalAddress). It was one of the last ops: culprit"));
    emulator::take_fault();
    c.synchronize();
  };
  meets([&] { c.use(); });
  meets([&] { c.launched("innocent"); });
  meets([&] { x.to<float>(); });
  meets([&] { Tensor::empty({33, 1 << 20}, x.options()); });
  meets([&] { ENGINE_CUDA(cudaMemsetAsync(x.raw(), 0, 4, c.stream())); });
  meets([] { check_work(); });

  // More than are remembered.
  fault();
  for (int i = 0; i < 20; ++i) error_of([&] { c.launched("innocent"); });
  CHECK(contains(error_of([&] { c.synchronize(); }), "one of the last ops: 5 earlier ones, innocent, innocent"));
  emulator::take_fault();
  c.synchronize();

  // What a launch itself ran into is its own.
  cudaMemsetAsync(x.raw(), 0, 400, c.stream());
  CHECK(contains(error_of([&] { c.launched("culprit"); }),
                 "[culprit] the launch failed on cuda:0: cudaErrorInvalidValue"));
  check_work();
  CHECK((x + x).to<float>() == std::vector<float>(4, 2));
}

// Run by the case below in a process of its own: the variable is read once.
TEST_CASE("emulator: planted fault of an op that waits after each launch" * doctest::skip()) {
  Context& c = device_context();
  const Tensor x = Tensor::full({4}, 1, {.device = open_device("cuda")});
  launch("harmless", c, {.threads_x = 1}, touch, pointer<float>(x), int64_t{0});
  const std::string error =
      error_of([&] { launch("culprit", c, {.threads_x = 1}, touch, pointer<float>(x), int64_t{4}); });
  CHECK(contains(error, "one of the last ops: culprit; RIDE_CUDA_SYNC"));
}

TEST_CASE("RIDE_CUDA_SYNC=1 makes the op that failed throw") {
  const auto status_with = [](const std::string& variable) {
    return std::system((variable + " /proc/$PPID/exe --no-skip --test-case='emulator: planted fault of an op*' "
                                   ">/dev/null 2>&1")
                           .c_str());
  };
  CHECK(status_with("RIDE_CUDA_SYNC=1") == 0);
  CHECK(status_with("RIDE_CUDA_SYNC=0") != 0);
}
