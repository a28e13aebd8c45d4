// Walks a StridedLoop (engine/kernels/strided.h) on the CPU, in parallel.
#pragma once
#include <array>

#include "engine/core/parallel.h"
#include "engine/kernels/strided.h"

namespace engine::cpu {

// Calls row(n, offsets, steps) for pieces of innermost rows within [begin, end) of the loop's elements.
template <int N, class Row>
void run_range(const StridedLoop<N>& loop, int64_t begin, int64_t end, Row&& row) {
  const int last = loop.shape.rank() - 1;
  const int64_t inner = loop.shape[last];
  Shape index = Shape::filled(last + 1, 0);
  for (int64_t rest = begin, axis = last; axis >= 0; --axis) {
    index[static_cast<int>(axis)] = rest % loop.shape[static_cast<int>(axis)];
    rest /= loop.shape[static_cast<int>(axis)];
  }
  std::array<int64_t, N> steps;
  for (int n = 0; n < N; ++n) steps[n] = loop.strides[n][last];
  while (begin < end) {
    std::array<int64_t, N> offsets{};
    for (int n = 0; n < N; ++n)
      for (int axis = 0; axis <= last; ++axis) offsets[n] += index[axis] * loop.strides[n][axis];
    const int64_t count = std::min(inner - index[last], end - begin);
    row(count, offsets, steps);
    begin += count;
    index[last] = 0;
    for (int axis = last - 1; axis >= 0; --axis) {
      if (++index[axis] < loop.shape[axis]) break;
      index[axis] = 0;
    }
  }
}

inline constexpr int64_t loop_grain = 1 << 15;  // elements a thread should have at least

template <int N, class Row>
void run_parallel(const StridedLoop<N>& loop, Row&& row) {
  parallel_for(loop.shape.numel(), loop_grain, [&](int64_t begin, int64_t end) { run_range(loop, begin, end, row); });
}

}  // namespace engine::cpu
