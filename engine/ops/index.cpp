#include "engine/ops/index.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

void check_index(const char* op, const Tensor& index) {
  check(index.dtype() == DType::i64, op, "the index must be i64, got {}", name(index.dtype()));
}

// Every axis of index but `axis` may be at most as long as x's.
void check_alike(const char* op, const Tensor& x, int axis, const Tensor& index) {
  check_index(op, index);
  bool fits = x.rank() == index.rank();
  for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || index.shape()[i] <= x.shape()[i];
  check(fits, op, "index {} does not fit tensor {} along axis {}", index.shape(), x.shape(), axis);
}

}  // namespace

// dx is dy added at the places it was read from.
Tensor gather(const Tensor& x, int axis, const Tensor& index) {
  profile::Scope scope("gather");
  const int at = x.shape().wrap_axis(axis, "gather");
  check_alike("gather", x, at, index);
  Tensor y = Tensor::empty(index.shape(), {.dtype = x.dtype(), .device = x.device()});
  kernels(x).index.gather(x, at, index, y);
  return record("gather", y, {x}, [at, index, from = x.shape()](const Tensor& dy, Needs) -> Gradients {
    Tensor dx = Tensor::zeros(from, {.dtype = dy.dtype(), .device = dy.device()});
    kernels(dy).index.scatter(dy, at, index, true, dx);
    return {dx};
  });
}

// y = x with source written over (dx = dy, zero where overwritten) or added (dx = dy); dsource = dy read at index.
Tensor scatter(const Tensor& x, ScatterOptions options, const Tensor& index, const Tensor& source) {
  profile::Scope scope("scatter");
  const int at = x.shape().wrap_axis(options.axis, "scatter");
  check_alike("scatter", x, at, index);
  check(index.shape() == source.shape(), "scatter", "index {} and source {} differ", index.shape(), source.shape());
  check(x.dtype() == source.dtype(), "scatter", "dtypes differ: {} and {}", name(x.dtype()), name(source.dtype()));
  Tensor y = Tensor::empty(x.shape(), x.options());
  copy_into(x, y);
  kernels(x).index.scatter(source, at, index, options.add, y);
  return record("scatter", y, {x, source}, [at, index, add = options.add](const Tensor& dy, Needs needs) -> Gradients {
    Tensor dx = dy;
    if (needs[0] && !add) {
      dx = Tensor::empty(dy.shape(), dy.options());
      copy_into(dy, dx);
      kernels(dy).index.scatter(Tensor::zeros(index.shape(), {.dtype = dy.dtype(), .device = dy.device()}), at, index,
                                false, dx);
    }
    return {needs[0] ? dx : none, needs[1] ? gather(dy, at, index) : none};
  });
}

// A gather (and, backward, an added scatter) whose index is the one-dimensional one stretched over the other axes.
Tensor index_select(const Tensor& x, int axis, const Tensor& index) {
  profile::Scope scope("index_select");
  const int at = x.shape().wrap_axis(axis, "index_select");
  check_index("index_select", index);
  check(index.rank() == 1, "index_select", "the index must have one dimension, got {}", index.shape());
  const Shape shape = x.shape().replaced(at, index.numel());
  const Tensor stretched = index.as_strided(shape, Shape::filled(x.rank(), 0).replaced(at, index.strides()[0]));
  Tensor y = Tensor::empty(shape, x.options());
  kernels(x).index.gather(x, at, stretched, y);
  return record("index_select", y, {x},
                [at, stretched, from = x.shape(), like = x.options()](const Tensor& dy, Needs) -> Gradients {
                  Tensor dx = Tensor::zeros(from, like);
                  kernels(dy).index.scatter(dy, at, stretched, true, dx);
                  return {dx};
                });
}

Partition partition(const Tensor& mask) {
  profile::Scope scope("partition");
  check(mask.rank() == 1 && mask.dtype() == DType::boolean, "partition", "needs a mask (n) of booleans, got {}",
        mask.str());
  const Tensor index = Tensor::empty(mask.shape(), {.dtype = DType::i64, .device = mask.device()});
  const Tensor count = Tensor::empty({1}, index.options());
  kernels(mask).index.partition(mask, index, count);
  return {index, count};
}

}  // namespace engine
