#include <doctest/doctest.h>

#include <vector>

#include "engine/cpu/peak.h"
#include "engine/cpu/peak_loops.h"
#include "engine/kernels/select.h"

using namespace engine;

TEST_CASE("peak loops: the multiply-adds and the triad compute what they say, on every instruction set") {
  cpu::peak_loops_per_isa.for_each([](const cpu::PeakLoops& loops) {
    CAPTURE(loops.isa);
    // Every lane of every chain goes from x to 2 x + 1.
    const float start = loops.multiply_add(0, 2, 1), once = loops.multiply_add(1, 2, 1);
    CHECK(once - 2 * start == static_cast<float>(loops.flops_per_round / 2));
    CHECK(loops.multiply_add(200, 0.75f, 0.25f) == doctest::Approx(loops.flops_per_round / 2.0));  // all at 1

    std::vector<float> a{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, b(a), y(a.size());
    loops.triad(a.data(), b.data(), 0.5f, static_cast<int64_t>(a.size()), y.data());
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(y[i] == 1.5f * a[i]);
  });
}

TEST_CASE("peak loops: pairs of bf16 are multiplied and added, and their gain is measured") {
  if (!cpu::has_bf16_pairs()) return;
  const cpu::PeakLoops& loops = cpu::peak_loops_per_isa[cpu::Isa::avx512];
  // Each of the two products of a lane is 1.
  const float grown = loops.multiply_add_pairs(3) - loops.multiply_add_pairs(0);
  CHECK(grown == 3 * static_cast<float>(loops.flops_per_round));
  const double gain = cpu::bf16_gain();
  CHECK(gain > 0.1);
  CHECK(gain < 10);
}

TEST_CASE("the measured peaks are those of a computer") {
  const profile::Peaks peaks = kernels(Device{}).peak.measure(DType::f32);
  CHECK(peaks.flops > 1e8);
  CHECK(peaks.flops < 1e15);
  CHECK(peaks.bytes > 1e8);
  CHECK(peaks.bytes < 1e13);
}
