// Tensors in a device's memory: made, filled, moved, counted, and what happens when there is none left.
#include <cuda_runtime.h>
#include <doctest/doctest.h>

#include "engine/core/device_memory.h"
#include "engine/kernels/select.h"
#include "engine/kernels/step_graph.h"
#include "engine/nn/conv2d.h"
#include "engine/nn/sequential.h"
#include "engine/ops/conv.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/shape_ops.h"
#include "engine/optim/sgd.h"
#include "tests/emulator/execution.h"
#include "tests/error_of.h"

using namespace engine;

namespace {

constexpr DType all_types[] = {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::u8, DType::boolean};
constexpr std::size_t mib = std::size_t{1} << 20;

Device cuda() { return open_device("cuda"); }

Tensor numbers(const Shape& shape, DType dtype = DType::f32) {
  return cast(reshape(Tensor::arange(shape.numel()), shape), dtype);
}

// Leaves the emulated device with `bytes` besides what is allocated already, while it lives.
class Room {
 public:
  explicit Room(std::size_t bytes) {
    std::size_t available = 0;
    cudaMemGetInfo(&available, &total_);
    emulator::set_memory(total_ - available + bytes);
  }
  ~Room() { emulator::set_memory(total_); }

 private:
  std::size_t total_ = 0;
};

// A step for a StepGraph: y = a * mebibytes, by way of a tensor of so many that is gone before the step's end.
void passing_by(int64_t mebibytes, const Tensor& y) {
  const Tensor there = Tensor::full({mebibytes, 1 << 18}, static_cast<double>(mebibytes), y.options());
  copy_into(slice(select(there, 0, mebibytes - 1), {.end = y.size(0)}), y);
}

AllocatorStats stats() { return memory_of(cuda()).stats(0); }

void give_idle_blocks_back() {
  const Room none(0);
  CHECK_THROWS_AS(Tensor::empty({64, 1 << 20}, {.device = cuda()}), Error);
}

}  // namespace

TEST_CASE("devices by name: cpu, cuda, cuda:<index>, auto") {
  CHECK(open_device("cpu") == Device{});
  CHECK(name(open_device("cuda")) == "cuda:0");
  CHECK(open_device("cuda:0") == open_device("cuda"));
  CHECK(open_device("auto") == open_device("cuda"));
  CHECK(contains(error_of([] { open_device("cuda:7"); }), "there is no cuda:7: this machine has 1 CUDA device"));
  for (const char* text : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0x", ""})
    CHECK(contains(error_of([=] { open_device(text); }), fmt::format("\"{}\" is no device: expected cpu", text)));
  CHECK(contains(describe(cuda()), "emulated device, 16.0 GiB"));
  CHECK(describe(Device{}) == "cpu");
}

TEST_CASE("device memory: zeros, full, scalars and moved tensors of every type") {
  for (const DType dtype : all_types) {
    const TensorOptions there{.dtype = dtype, .device = cuda()};
    CHECK(Tensor::zeros({3, 11}, there).to<double>() == std::vector<double>(33, 0));
    CHECK(Tensor::full({3, 11}, 1, there).to<double>() == std::vector<double>(33, 1));
    CHECK(Tensor::scalar(1, dtype, cuda()).item() == 1);
    CHECK(Tensor::zeros({0, 3}, there).to<double>().empty());
    const Tensor x = cast(numbers({5, 7}), dtype), y = x.to(cuda());
    CHECK(y.device() == cuda());
    CHECK(y.dtype() == dtype);
    CHECK(y.to<double>() == x.to<double>());
    CHECK(y.to(Device{}).to<double>() == x.to<double>());
  }
  CHECK(Tensor::full({2}, -2.5, {.device = cuda()}).to<float>() == std::vector<float>{-2.5f, -2.5f});
  CHECK(Tensor::zeros({2, 3}, {.device = cuda()}).str() == "f32 (2, 3) contiguous on cuda:0");
}

TEST_CASE("device memory: views move with their strides") {
  const Tensor x = numbers({2, 3, 4, 5});
  const Tensor views[] = {transpose(x, 1, 3), slice(x, {.axis = 2, .start = 1, .step = 2}), select(x, 0, 1),
                          expand_to(select(x, 0, 1), {7, 3, 4, 5}), contiguous(x, MemoryFormat::channels_last)};
  for (const Tensor& view : views) {
    const Tensor there = view.to(cuda()), back = there.to(Device{});
    CHECK(there.strides() == view.strides());
    CHECK(back.strides() == view.strides());
    CHECK(there.to<float>() == view.to<float>());
    CHECK(back.to<float>() == view.to<float>());
    CHECK_FALSE(back.shares_storage(view));
  }
  const Tensor there = x.to(cuda());
  CHECK(there.to(cuda()).shares_storage(there));
  CHECK(contains(error_of([&] { contiguous(x, MemoryFormat::batch_lanes).to(cuda()); }), "can't leave the CPU"));
}

TEST_CASE("device memory: gradients flow back over a move") {
  Tensor x = numbers({4}).set_requires_grad();
  const Tensor there = to(x, cuda());
  (there * there).backward(Tensor::full({4}, 1, {.device = cuda()}));
  CHECK(x.grad().device() == Device{});
  CHECK(x.grad().to<float>() == std::vector<float>{0, 2, 4, 6});
}

TEST_CASE("device memory: the host reads nothing but copies") {
  const Tensor x = numbers({3}).to(cuda());
  CHECK(contains(error_of([&] { x.data<float>(); }),
                 "f32 (3,) contiguous on cuda:0 is not in the host's memory: to(Device{}) gives a tensor that is"));
  CHECK(slice(x, {.start = 2}).item() == 2);
  CHECK(contains(error_of([&] { x.item(); }), "needs exactly one element"));
}

TEST_CASE("device memory: an op on two devices names itself and both") {
  const Tensor here = numbers({2, 2}), there = here.to(cuda());
  CHECK(contains(error_of([&] { here + there; }), "[add] tensors live on cpu and cuda:0"));
  CHECK(contains(error_of([&] { matmul(there, here); }), "[matmul] tensors live on cuda:0 and cpu: move one with to"));
  CHECK(contains(error_of([&] { copy_into(here, there); }), "[copy] tensors live on cpu and cuda:0"));

  // Within what a slot is given, too.
  Tensor parameter = numbers({3}).to(cuda()).set_requires_grad();
  Sgd optimizer({{"p", parameter}}, {});
  parameter.set_grad(numbers({3}));
  CHECK(contains(error_of([&] { optimizer.step(0.1); }), "[sgd] tensors live on cuda:0 and cpu"));
  const Tensor image = Tensor::zeros({1, 1, 2, 2}, {.device = cuda()}), weight = Tensor::zeros({1, 1, 1, 1});
  ConstantWeights constant(weight.to(cuda()));
  CHECK(contains(error_of([&] { conv2d_fused(image, constant, {.bias = Tensor::zeros({1})}); }),
                 "[conv2d_fused] tensors live on cuda:0 and cpu"));
  const Tensor one = Tensor::full({1}, 1, {.device = cuda()});
  const BatchNormSaved saved{
      .x = image, .y = {}, .weight = one, .bias = one, .mean = one, .inv_std = Tensor::zeros({1})};
  CHECK(contains(error_of([&] { kernels(cuda()).norm.backward(saved, image, false); }),
                 "[batch_norm backward] tensors live on cuda:0 and cpu"));
}

TEST_CASE("device memory: a module moves as a whole, every handle with it") {
  Sequential net;
  net.append<Conv2d>(Conv2dLayerOptions{.in_channels = 2, .out_channels = 3});
  const Tensor weight = net.parameters()[0];
  const std::vector<float> values = weight.to<float>();
  Tensor(weight).set_grad(Tensor::zeros(weight.shape()));
  net.to(cuda());
  for (const auto& [name, tensor] : net.state_dict()) CHECK_MESSAGE(tensor.device() == cuda(), name);
  CHECK(weight.device() == cuda());
  CHECK(weight.to<float>() == values);
  CHECK(weight.requires_grad());
  CHECK_FALSE(weight.grad().defined());
  net.to(Device{});
  CHECK(weight.data<float>()[0] == values[0]);
  CHECK(contains(error_of([&] { weight.set_data(Tensor::zeros({1})); }), "can't take the place of"));
}

TEST_CASE("device memory: statistics count blocks in use, cached and asked for") {
  const AllocatorStats before = stats();
  memory_of(cuda()).reset_peak(0);
  {
    const Tensor x = Tensor::empty({1 << 20}, {.device = cuda()}), y = Tensor::empty({1 << 20}, {.device = cuda()});
    CHECK(stats().allocated == before.allocated + 8 * mib);
  }
  const AllocatorStats after = stats();
  CHECK(after.allocated == before.allocated);
  CHECK(after.peak_allocated == before.allocated + 8 * mib);
  CHECK(after.reserved >= before.allocated + 8 * mib);
  const Tensor again = Tensor::empty({1 << 20}, {.device = cuda()});
  CHECK(stats().system_allocations == after.system_allocations);
  memory_of(cuda()).reset_peak(0);
  CHECK(stats().peak_allocated == stats().allocated);
}

TEST_CASE("device memory: a limit is kept") {
  DeviceMemory& memory = memory_of(cuda());
  memory.set_limit(stats().reserved + mib, 0);
  const std::string error = error_of([] { Tensor::empty({64, 1 << 20}, {.device = cuda()}); });
  memory.set_limit(0, 0);
  CHECK(contains(error, "256.0 MiB asked"));
  CHECK(contains(error, "lower the batch size or raise the limit"));
  CHECK(Tensor::empty({64, 1 << 20}, {.device = cuda()}).defined());
}

TEST_CASE("device memory: none left gives the cache back first, then an error with the largest blocks") {
  { const Tensor cached = Tensor::empty({40, 1 << 18}, {.device = cuda()}); }
  const std::size_t reserved = stats().reserved;
  {
    const Room room(mib);
    const Tensor x = Tensor::full({20, 1 << 18}, 3, {.device = cuda()});  // fits where the cached block was
    CHECK(x.to<float>().back() == 3);
    CHECK(stats().reserved < reserved);
  }
  const Tensor one = Tensor::full({3 << 18}, 1, {.device = cuda()}), two = Tensor::empty({3 << 18}, one.options());
  const Room room(mib);
  const std::string error = error_of([] { Tensor::empty({100, 1 << 18}, {.device = cuda()}); });
  CHECK(contains(error, "[allocator] cuda:0 has no 104.0 MiB left"));
  CHECK(contains(error, "(largest: 2 x 3.0"));
  CHECK(contains(error, "lower the batch size"));
  // Nothing is broken by it.
  CHECK((one + one).to<float>()[0] == 2);
}

TEST_CASE("device memory: a recording takes the idle blocks of the steps before it, and gives them back at its end") {
  const Tensor y = Tensor::zeros({5}, {.device = cuda()});
  StepGraph graph(cuda());
  const auto step = [&] { passing_by(40, y); };
  for (int i = 0; i < 2; ++i) graph.run(step);
  const AllocatorStats before = stats();
  const Room room(mib);
  for (int i = 0; i < 2; ++i) graph.run(step);
  CHECK(graph.recorded());
  CHECK(y.to<float>() == std::vector<float>(5, 40));
  // Others can't have them in between, so they are in use.
  CHECK(stats().reserved == before.reserved);
  CHECK(stats().allocated == before.allocated + 40 * mib);
  graph.reset();
  CHECK(stats().allocated == before.allocated);
  CHECK(Tensor::empty({40, 1 << 18}, y.options()).defined());
}

TEST_CASE("device memory: where a recording finds no room, idle blocks go and what it released itself stays") {
  const Tensor y = Tensor::zeros({5}, {.device = cuda()}), z = Tensor::zeros({5}, {.device = cuda()});
  bool large = false;
  const auto step = [&] {
    if (!large) return;
    passing_by(20, y);
    passing_by(28, z);
  };
  StepGraph graph(cuda());
  for (int i = 0; i < 2; ++i) graph.run(step);
  large = true;
  give_idle_blocks_back();
  const AllocatorStats before = stats();
  {
    const Room room(40 * mib);
    const std::string error = error_of([&] { graph.run(step); });
    CHECK(contains(error, "[allocator] cuda:0 has no 28.0 MiB left"));
    CHECK(contains(error, "(largest: 1 x 20.0"));
    CHECK_FALSE(graph.recorded());
    CHECK(stats().allocated == before.allocated);
  }
  give_idle_blocks_back();
  const Room room(52 * mib);
  { const Tensor idle = Tensor::empty({44, 1 << 18}, y.options()); }
  for (int i = 0; i < 2; ++i) {
    graph.run(step);
    CHECK(y.to<float>() == std::vector<float>(5, 20));
    CHECK(z.to<float>() == std::vector<float>(5, 28));
  }
  CHECK(graph.recorded());
}

TEST_CASE("device memory: a limit counts what recordings hold") {
  const Tensor y = Tensor::zeros({5}, {.device = cuda()});
  StepGraph graph(cuda());
  bool larger = false;
  const auto step = [&] { passing_by(larger ? 24 : 20, y); };
  for (int i = 0; i < 2; ++i) graph.run(step);
  larger = true;
  DeviceMemory& memory = memory_of(cuda());
  memory.set_limit(stats().allocated + 22 * mib, 0);
  const std::string error = error_of([&] { graph.run(step); });
  memory.set_limit(0, 0);
  CHECK(contains(error, "24.0 MiB asked"));
  CHECK(contains(error, "raise the limit"));
}

TEST_CASE("device memory: a copy to the host that a recording refuses is not in the recording") {
  const Tensor x = Tensor::full({4}, 3, {.device = cuda()});
  std::vector<float> host(4, 1);
  StepGraph graph(cuda());
  for (int i = 0; i < 4; ++i)
    graph.run([&] {
      if (i < 2) return;
      CHECK(contains(error_of([&] {
                       memory_of(cuda()).copy_to_host(reinterpret_cast<std::byte*>(host.data()), x.raw(),
                                                      host.size() * sizeof(float), 0);
                     }),
                     "waits for the device"));
    });
  CHECK(graph.recorded());
  synchronize(cuda());
  CHECK(host == std::vector<float>(4, 1));
}
