// How fast a device multiplies and adds, in f32 and on its tensor cores, and how fast it moves memory.
#include "engine/core/numerics.h"
#include "engine/cuda/map.h"
#include "engine/cuda/table.h"

namespace engine::cuda {
namespace {

constexpr int chains = 16;          // independent, which hides the latency of a multiply-add
constexpr int rounds_per_turn = 8;  // of the loop, whose own cost then hardly shows

// x = x scale + shift on registers; with scale = 3/4 and shift = 1/4 every x tends to 1.
__global__ void multiply_add_kernel(int turns, float scale, float shift, Global<float> results) {
  float x[chains];
#pragma unroll
  for (int i = 0; i < chains; ++i) x[i] = static_cast<float>(i);
  for (int turn = 0; turn < turns; ++turn) {
#pragma unroll
    for (int round = 0; round < rounds_per_turn; ++round) {
#pragma unroll
      for (int i = 0; i < chains; ++i) x[i] = x[i] * scale + shift;
    }
  }
  float total = 0;
#pragma unroll
  for (int i = 0; i < chains; ++i) total += x[i];
  results[grid_index()] = total;
}

// y = a + s b
struct Triad {
  float s;
  ENGINE_HD float operator()(float a, float b) const { return a + s * b; }
};

// Seconds that the device takes for what run() launches.
template <class Run>
double seconds(Context& c, Run&& run) {
  const Event start = make_event(cudaEventDefault), end = make_event(cudaEventDefault);
  ENGINE_CUDA(cudaEventRecord(start.get(), c.stream()));
  run();
  ENGINE_CUDA(cudaEventRecord(end.get(), c.stream()));
  c.synchronize();
  float milliseconds = 0;
  ENGINE_CUDA(cudaEventElapsedTime(&milliseconds, start.get(), end.get()));
  return std::max(static_cast<double>(milliseconds) * 1e-3, 1e-9);
}

// The best rate of several runs, the first of which wakes the device.
template <class Run>
double best_rate(Context& c, double work, Run&& run) {
  double best = 0;
  for (int i = 0; i < 5; ++i) best = std::max(best, work / seconds(c, run));
  return best;
}

double flops_per_second(Context& c) {
  const LaunchShape shape{.blocks_x = int64_t{c.multiprocessors()} * 4};
  const int64_t threads = shape.blocks_x * shape.threads();
  const Tensor results = Tensor::empty({threads}, {.device = {DeviceType::cuda, c.device()}});
  const auto run = [&](int turns) {
    launch("peak", c, shape, multiply_add_kernel, turns, 0.75f, 0.25f, pointer<float>(results));
  };
  int turns = 1;  // as many as take some milliseconds
  while (turns < 1 << 20 && seconds(c, [&] { run(turns); }) < 5e-3) turns *= 4;
  return best_rate(c, 2.0 * chains * rounds_per_turn * turns * static_cast<double>(threads), [&] { run(turns); });
}

// While it lives, products may round to TF32.
class Tf32Products {
 public:
  Tf32Products() { set_tf32({.convolutions = before_.convolutions, .products = true}); }
  ~Tf32Products() { set_tf32(before_); }
  Tf32Products(const Tf32Products&) = delete;
  Tf32Products& operator=(const Tf32Products&) = delete;

 private:
  Tf32 before_ = numerics().tf32;
};

// Products of square matrices, up to those that take some milliseconds: the best that cuBLASLt makes of tensor cores.
double product_flops_per_second(Context& c, DType factors) {
  const Tf32Products allowed;
  MatmulKernels products;
  fill(products);
  const TensorOptions options{.dtype = factors, .device = {DeviceType::cuda, c.device()}};
  double best = 0;
  for (int64_t n = 256; n <= 8192; n *= 2) {
    const Tensor a = Tensor::zeros({n, n}, options), b = Tensor::zeros({n, n}, options),
                 y = Tensor::empty({n, n}, options);
    const double work = 2.0 * static_cast<double>(n) * static_cast<double>(n) * static_cast<double>(n);
    const double rate = best_rate(c, work, [&] { products.matmul(a, b, {}, y); });
    best = std::max(best, rate);
    if (work / rate > 2e-3) break;
  }
  return best;
}

double bytes_per_second(Context& c) {
  const int64_t n = int64_t{c.properties().l2CacheSize};  // each array four times the cache
  const TensorOptions options{.device = {DeviceType::cuda, c.device()}};
  const Tensor a = Tensor::zeros({n}, options), b = Tensor::zeros({n}, options), y = Tensor::empty({n}, options);
  return best_rate(c, 3.0 * static_cast<double>(n) * sizeof(float),
                   [&] { map<float, float, float>("peak", Triad{0.5f}, y, a, b); });
}

// Of the device that this thread used last.
profile::Peaks measure(DType factors) {
  int device = 0;
  ENGINE_CUDA(cudaGetDevice(&device));
  Context& c = context(device);
  const bool tensor_cores = is_half(factors) || (factors == DType::f32 && numerics().tf32.convolutions);
  return {.flops = tensor_cores ? product_flops_per_second(c, factors) : flops_per_second(c),
          .bytes = bytes_per_second(c)};
}

}  // namespace

void fill(PeakKernels& table) { table.measure = measure; }

}  // namespace engine::cuda
