// How fast these threads multiply and add, and how fast they move memory.
#include "engine/cpu/peak.h"

#include <chrono>

#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/core/tensor.h"
#include "engine/cpu/peak_loops.h"
#include "engine/cpu/table.h"

namespace engine::cpu {
namespace {

// The best rate of several runs, the first of which wakes threads and touches pages. `work` is what one run does.
template <class Run>
double best_rate(int runs, double work, Run&& run) {
  double best = 0;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::max(best, work / std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double flops_per_second() {
  constexpr int64_t rounds = 1 << 20;  // some milliseconds
  const int64_t threads = num_threads();
  const PeakLoops& loops = peak_loops();
  // x tends to shift / (1 - scale) = 1: no value overflows or becomes denormal, which would cost extra cycles.
  const Tensor results = Tensor::empty({threads});
  return best_rate(12, static_cast<double>(threads * rounds * loops.flops_per_round), [&] {
    parallel_for(threads, 1, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) results.data<float>()[i] = loops.multiply_add(rounds, 0.75f, 0.25f);
    });
  });
}

double bytes_per_second() {
  constexpr int64_t n = int64_t{1} << 24;  // 64 MiB an array
  const Tensor a = Tensor::zeros({n}), b = Tensor::zeros({n}), y = Tensor::zeros({n});
  return best_rate(12, 3.0 * n * sizeof(float), [&] {
    parallel_for(n, 1, [&](int64_t begin, int64_t end) {
      peak_loops().triad(a.data<float>() + begin, b.data<float>() + begin, 0.5f, end - begin, y.data<float>() + begin);
    });
  });
}

profile::Peaks measure(DType) { return {.flops = flops_per_second(), .bytes = bytes_per_second()}; }

}  // namespace

double bf16_gain() {
  const PeakLoops& loops = peak_loops_per_isa[Isa::avx512];
  constexpr int64_t rounds = 1 << 11;  // tens of microseconds
  const double pairs = best_rate(12, 2, [&] { loops.multiply_add_pairs(rounds); });
  return pairs / best_rate(12, 1, [&] { loops.multiply_add(rounds, 0.75f, 0.25f); });
}

void fill(PeakKernels& table) { table.measure = measure; }

}  // namespace engine::cpu
