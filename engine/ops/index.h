// Reading and writing at positions held in an i64 tensor.
#pragma once
#include "engine/autograd/node.h"

namespace engine {

// y[i][j] = x[index[i][j]][j] for axis 0, and so on; y has index's shape; same rank.
Tensor gather(const Tensor& x, int axis, const Tensor& index);
// A copy of x with source written (or added) at index along axis: the inverse movement of gather.
struct ScatterOptions {
  int axis = 0;
  bool add = false;
};
Tensor scatter(const Tensor& x, ScatterOptions options, const Tensor& index, const Tensor& source);
// The slices of x along axis that a one-dimensional index names, in its order.
Tensor index_select(const Tensor& x, int axis, const Tensor& index);

// Where a mask (n) of booleans is true and then where it is not, each in order: index (n) i64, and how many are true:
// count (1) i64. Both on the mask's device; who reads the count waits for it.
struct Partition {
  Tensor index, count;
};
Partition partition(const Tensor& mask);

}  // namespace engine
