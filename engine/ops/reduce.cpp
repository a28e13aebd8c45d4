#include "engine/ops/reduce.h"

#include <algorithm>

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/index.h"
#include "engine/ops/precision.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

// The axes as a sorted list without repeats; all of them when none is named.
std::vector<int> resolve_axes(const Tensor& x, const std::vector<int>& axes, const char* op) {
  std::vector<int> out;
  for (int axis : axes) out.push_back(x.shape().wrap_axis(axis, op));
  if (axes.empty())
    for (int i = 0; i < x.rank(); ++i) out.push_back(i);
  std::sort(out.begin(), out.end());
  check(std::adjacent_find(out.begin(), out.end()) == out.end(), op, "an axis is named twice");
  return out;
}

Shape reduced_shape(const Shape& shape, const std::vector<int>& axes, bool keep) {
  Shape out;
  for (int i = 0; i < shape.rank(); ++i) {
    if (!std::binary_search(axes.begin(), axes.end(), i))
      out.push_back(shape[i]);
    else if (keep)
      out.push_back(1);
  }
  return out;
}

// y = scale * sum over axes, so dx = scale * dy stretched back.
Tensor scaled_sum(const char* name, const Tensor& x, const ReduceOptions& options, bool average) {
  profile::Scope scope(name);
  check(is_floating(x.dtype()) || (x.dtype() == DType::i64 && !average), name, "not defined for {}: cast first",
        engine::name(x.dtype()));
  const std::vector<int> axes = resolve_axes(x, options.axes, name);
  const Shape kept = reduced_shape(x.shape(), axes, true), shape = reduced_shape(x.shape(), axes, options.keep);
  const int64_t count = x.numel() / std::max<int64_t>(kept.numel(), 1);
  const double scale = average ? 1.0 / static_cast<double>(count) : 1.0;
  Tensor y = Tensor::empty(kept, {.dtype = x.dtype(), .device = x.device()});
  kernels(x).reduce.sum(x, scale, y);
  y = y.as_strided(shape, contiguous_strides(shape));
  return record(name, y, {x}, [from = x.shape(), kept, scale](const Tensor& dy, Needs) -> Gradients {
    const Tensor scaled = scale == 1 ? dy : dy * scale;
    return {expand_to(reshape(scaled, kept), from)};
  });
}

Tensor ordered_indices(const Tensor& x, int64_t k, bool descending) {
  Tensor indices = Tensor::empty(x.shape().replaced(x.rank() - 1, k), {.dtype = DType::i64, .device = x.device()});
  kernels(x).reduce.sort(contiguous(x.detach()), descending, indices);
  return indices;
}

}  // namespace

Tensor sum(const Tensor& x, const ReduceOptions& options) {
  return scaled_sum("sum", full_precision(x), options, false);
}
Tensor mean(const Tensor& x, const ReduceOptions& options) { return scaled_sum("mean", x, options, true); }

// The reduced axes are moved last and merged, so that one argmax and one gather do the work and the gradient.
Tensor max(const Tensor& x, const ReduceOptions& options) {
  const std::vector<int> axes = resolve_axes(x, options.axes, "max");
  std::vector<int> order;
  for (int i = 0; i < x.rank(); ++i)
    if (!std::binary_search(axes.begin(), axes.end(), i)) order.push_back(i);
  order.insert(order.end(), axes.begin(), axes.end());
  Shape merged = reduced_shape(x.shape(), axes, false);
  const Shape shape = reduced_shape(x.shape(), axes, options.keep);
  int64_t choices = 1;
  for (int axis : axes) choices *= x.shape()[axis];
  check(choices > 0, "max", "no elements to choose from in {}", x.shape());
  merged.push_back(choices);
  const Tensor rows = reshape(permute(x, order), merged);
  return reshape(gather(rows, -1, unsqueeze(argmax(rows, -1), -1)), shape);
}

Tensor argmax(const Tensor& x, int axis) {
  profile::Scope scope("argmax");
  const int at = x.shape().wrap_axis(axis, "argmax");
  check(x.shape()[at] > 0, "argmax", "axis {} of {} is empty", axis, x.shape());
  Tensor index = Tensor::empty(x.shape().erased(at), {.dtype = DType::i64, .device = x.device()});
  kernels(x).reduce.argmax(x, at, index);
  return index;
}

Ordered topk(const Tensor& x, TopkOptions options) {
  profile::Scope scope("topk");
  const int64_t n = x.size(-1);
  check(options.k >= 0 && options.k <= n, "topk", "k = {} but the last axis of {} has {}", options.k, x.shape(), n);
  const Tensor indices = ordered_indices(x, options.k, options.largest);
  return {gather(x, -1, indices), indices};
}

Ordered sort(const Tensor& x, bool descending) {
  profile::Scope scope("sort");
  const Tensor indices = ordered_indices(x, x.size(-1), descending);
  return {gather(x, -1, indices), indices};
}

}  // namespace engine
