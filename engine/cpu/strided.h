// One loop for every layout: N operands of one shape, each with its own strides. Axes are put in the order of the last
// operand's memory and neighbours that lie densely in all operands are merged, so dense tensors become a single long
// row.
#pragma once
#include <array>

#include "engine/core/parallel.h"
#include "engine/core/tensor.h"

namespace engine::cpu {

template <int N>
struct StridedLoop {
  Shape shape;  // outermost first; at least one axis
  std::array<Strides, N> strides;
};

template <int N>
StridedLoop<N> plan_loop(const Shape& shape, const std::array<Strides, N>& strides) {
  std::array<int, Shape::max_rank> order{};
  int axes = 0;
  for (int i = 0; i < shape.rank(); ++i)
    if (shape[i] != 1) order[axes++] = i;
  std::stable_sort(order.begin(), order.begin() + axes,
                   [&](int a, int b) { return strides[N - 1][a] > strides[N - 1][b]; });
  StridedLoop<N> loop;
  for (int k = 0; k < axes; ++k) {
    const int axis = order[k], last = loop.shape.rank() - 1;
    bool merges = last >= 0;
    for (int n = 0; merges && n < N; ++n) merges = loop.strides[n][last] == strides[n][axis] * shape[axis];
    if (merges) {
      loop.shape[last] *= shape[axis];
      for (int n = 0; n < N; ++n) loop.strides[n][last] = strides[n][axis];
    } else {
      loop.shape.push_back(shape[axis]);
      for (int n = 0; n < N; ++n) loop.strides[n].push_back(strides[n][axis]);
    }
  }
  if (loop.shape.rank() == 0) {
    loop.shape.push_back(shape.numel());
    for (int n = 0; n < N; ++n) loop.strides[n].push_back(1);
  }
  return loop;
}

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

template <class... Tensors>
auto plan_loop_over(const Tensors&... tensors) {
  constexpr int N = sizeof...(Tensors);
  const std::array<const Tensor*, N> all{&tensors...};
  return plan_loop<N>(all[N - 1]->shape(), std::array<Strides, N>{tensors.strides()...});
}

}  // namespace engine::cpu
