// One loop for every layout: N operands of one shape, each with its own strides. Axes are put in the order of the last
// operand's memory and neighbours that lie densely in all operands are merged, so dense tensors become a single long
// row.
#pragma once
#include <algorithm>
#include <array>

#include "engine/core/tensor.h"

namespace engine {

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

template <class... Tensors>
auto plan_loop_over(const Tensors&... tensors) {
  constexpr int N = sizeof...(Tensors);
  const std::array<const Tensor*, N> all{&tensors...};
  return plan_loop<N>(all[N - 1]->shape(), std::array<Strides, N>{tensors.strides()...});
}

// The loops of a sum over the axes where y has size 1 and x has not: for each element of y, where its terms begin in x
// and where it lies itself; and, from there, its terms.
struct SumLoops {
  StridedLoop<2> results;  // x, y
  StridedLoop<1> terms;    // x
  int64_t terms_count;
};

inline SumLoops plan_sum(const Tensor& x, const Tensor& y) {
  Shape kept, summed;
  Strides kept_x, kept_y, summed_x;
  for (int i = 0; i < x.rank(); ++i) {
    if (y.shape()[i] == 1 && x.shape()[i] != 1) {
      summed.push_back(x.shape()[i]);
      summed_x.push_back(x.strides()[i]);
    } else {
      kept.push_back(x.shape()[i]);
      kept_x.push_back(x.strides()[i]);
      kept_y.push_back(y.strides()[i]);
    }
  }
  return {plan_loop<2>(kept, {kept_x, kept_y}), plan_loop<1>(summed, {summed_x}), summed.numel()};
}

}  // namespace engine
