// Sums, means, maxima and order over axes. `axes` empty means all; reduced axes vanish unless keep is set.
#pragma once
#include "engine/autograd/node.h"

namespace engine {

struct ReduceOptions {
  std::vector<int> axes = {};
  bool keep = false;  // keep reduced axes with size 1
};
Tensor sum(const Tensor& x, const ReduceOptions& options = {});
Tensor mean(const Tensor& x, const ReduceOptions& options = {});
Tensor max(const Tensor& x, const ReduceOptions& options = {});  // its gradient goes to the first largest element

Tensor argmax(const Tensor& x, int axis);  // i64, without that axis; no gradient

struct Ordered {
  Tensor values, indices;  // indices i64
};
struct TopkOptions {
  int64_t k = 1;
  bool largest = true;
};
Ordered topk(const Tensor& x, TopkOptions options);      // along the last axis, sorted; k <= its size
Ordered sort(const Tensor& x, bool descending = false);  // along the last axis, stable

}  // namespace engine
