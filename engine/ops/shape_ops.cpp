#include "engine/ops/shape_ops.h"

#include <algorithm>

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"

namespace engine {
namespace {

Shape resolve(const Shape& wanted, const Shape& from) {
  Shape out = wanted;
  int unknown = -1;
  int64_t known = 1;
  for (int i = 0; i < out.rank(); ++i) {
    if (out[i] == -1) {
      check(unknown < 0, "reshape", "only one dimension may be -1, got {}", wanted);
      unknown = i;
    } else {
      check(out[i] >= 0, "reshape", "negative dimension in {}; only one may be -1", wanted);
      known *= out[i];
    }
  }
  if (unknown >= 0 && known > 0) out[unknown] = from.numel() / known;
  check(out.numel() == from.numel() && (unknown < 0 || known > 0), "reshape",
        "shape {} has {} elements, {} asks for another number", from, from.numel(), wanted);
  return out;
}

Tensor copy_as(const Tensor& x, DType dtype, MemoryFormat format) {
  profile::Scope scope(profile::enabled() ? conversion_name(x, dtype, format) : std::string());
  Tensor y = Tensor::empty(x.shape(), {.dtype = dtype, .device = x.device(), .format = format});
  kernels(x).elementwise.copy(x, y);
  return y;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Shape to = resolve(shape, x.shape());
  const Tensor dense = contiguous(x);
  return record("reshape", dense.as_strided(to, contiguous_strides(to)), {dense},
                [from = x.shape()](const Tensor& dy, Needs) -> Gradients { return {reshape(dy, from)}; });
}

Tensor flatten(const Tensor& x, int from_axis) {
  const int first = x.shape().wrap_axis(from_axis, "flatten");
  Shape to;
  int64_t merged = 1;
  for (int i = 0; i < x.rank(); ++i) {
    if (i < first)
      to.push_back(x.shape()[i]);
    else
      merged *= x.shape()[i];
  }
  to.push_back(merged);
  return reshape(x, to);
}

Tensor permute(const Tensor& x, const std::vector<int>& axes) {
  check(static_cast<int>(axes.size()) == x.rank(), "permute", "{} axes for shape {}", axes.size(), x.shape());
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::vector<int> inverse(axes.size(), -1);
  for (int i = 0; i < x.rank(); ++i) {
    const int from = x.shape().wrap_axis(axes[i], "permute");
    check(inverse[from] < 0, "permute", "axis {} named twice", axes[i]);
    inverse[from] = i;
    shape[i] = x.shape()[from];
    strides[i] = x.strides()[from];
  }
  return record("permute", x.as_strided(shape, strides), {x},
                [inverse](const Tensor& dy, Needs) -> Gradients { return {permute(dy, inverse)}; });
}

Tensor transpose(const Tensor& x, int axis_a, int axis_b) {
  std::vector<int> axes(x.rank());
  for (int i = 0; i < x.rank(); ++i) axes[i] = i;
  std::swap(axes[x.shape().wrap_axis(axis_a, "transpose")], axes[x.shape().wrap_axis(axis_b, "transpose")]);
  return permute(x, axes);
}

Tensor unsqueeze(const Tensor& x, int axis) {
  check(axis >= -x.rank() - 1 && axis <= x.rank(), "unsqueeze", "axis {} is out of range for shape {}", axis,
        x.shape());
  const int at = axis < 0 ? axis + x.rank() + 1 : axis;
  return record("unsqueeze", x.as_strided(x.shape().inserted(at, 1), x.strides().inserted(at, 1)), {x},
                [at](const Tensor& dy, Needs) -> Gradients { return {squeeze(dy, at)}; });
}

Tensor squeeze(const Tensor& x, int axis) {
  const int at = x.shape().wrap_axis(axis, "squeeze");
  check(x.shape()[at] == 1, "squeeze", "axis {} of {} is not 1", axis, x.shape());
  return record("squeeze", x.as_strided(x.shape().erased(at), x.strides().erased(at)), {x},
                [at](const Tensor& dy, Needs) -> Gradients { return {unsqueeze(dy, at)}; });
}

Tensor expand_to(const Tensor& x, const Shape& shape) {
  check(broadcast(x.shape(), shape, "expand_to") == shape, "expand_to", "shape {} does not expand to {}", x.shape(),
        shape);
  Strides strides = Shape::filled(shape.rank(), 0);
  const int lead = shape.rank() - x.rank();
  for (int i = lead; i < shape.rank(); ++i)
    if (x.shape()[i - lead] == shape[i]) strides[i] = x.strides()[i - lead];
  return record("expand_to", x.as_strided(shape, strides), {x},
                [from = x.shape()](const Tensor& dy, Needs) -> Gradients { return {sum_to(dy, from)}; });
}

// dx is zero but for the slice, which is dy.
Tensor slice(const Tensor& x, SliceOptions options) {
  const int axis = x.shape().wrap_axis(options.axis, "slice");
  const int64_t n = x.shape()[axis], end = std::min(options.end, n);
  check(options.step > 0 && options.start >= 0 && options.start <= end, "slice",
        "[{}, {}) step {} does not fit axis {} of {}", options.start, options.end, options.step, options.axis,
        x.shape());
  auto view = [axis, start = options.start, end, step = options.step](const Tensor& t) {
    Strides strides = t.strides();
    const int64_t offset = strides[axis] * start;
    strides[axis] *= step;
    return t.as_strided(t.shape().replaced(axis, (end - start + step - 1) / step), strides, offset);
  };
  return record("slice", view(x), {x},
                [view, options = x.options(), from = x.shape()](const Tensor& dy, Needs) -> Gradients {
                  Tensor dx = Tensor::zeros(from, options);
                  copy_into(dy, view(dx));
                  return {dx};
                });
}

Tensor select(const Tensor& x, int axis, int64_t index) {
  const int64_t n = x.shape()[x.shape().wrap_axis(axis, "select")];
  check(index >= -n && index < n, "select", "index {} is out of range for axis {} of {}", index, axis, x.shape());
  const int64_t at = index < 0 ? index + n : index;
  return squeeze(slice(x, {.axis = axis, .start = at, .end = at + 1}), axis);
}

Tensor pad(const Tensor& x, PadOptions options) {
  const int axis = x.shape().wrap_axis(options.axis, "pad");
  check(options.before >= 0 && options.after >= 0, "pad", "negative padding ({}, {}): use slice", options.before,
        options.after);
  const int64_t n = x.shape()[axis];
  Tensor y = Tensor::zeros(x.shape().replaced(axis, n + options.before + options.after), x.options());
  copy_into(x, slice(y, {.axis = axis, .start = options.before, .end = options.before + n}));
  return record("pad", y, {x}, [axis, n, before = options.before](const Tensor& dy, Needs) -> Gradients {
    return {slice(dy, {.axis = axis, .start = before, .end = before + n})};
  });
}

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  check(!parts.empty(), "concat", "needs at least one tensor");
  const int at = parts[0].shape().wrap_axis(axis, "concat");
  int64_t total = 0;
  for (const Tensor& part : parts) {
    check(part.rank() == parts[0].rank() && part.shape().replaced(at, 0) == parts[0].shape().replaced(at, 0), "concat",
          "shapes {} and {} differ in more than axis {}", parts[0].shape(), part.shape(), axis);
    check(part.dtype() == parts[0].dtype(), "concat", "dtypes differ: {} and {}", name(parts[0].dtype()),
          name(part.dtype()));
    total += part.shape()[at];
  }
  Tensor y = Tensor::empty(parts[0].shape().replaced(at, total), parts[0].options());
  std::vector<int64_t> starts;
  int64_t start = 0;
  for (const Tensor& part : parts) {
    starts.push_back(start);
    copy_into(part, slice(y, {.axis = at, .start = start, .end = start + part.shape()[at]}));
    start += part.shape()[at];
  }
  starts.push_back(start);
  return record("concat", y, parts, [at, starts](const Tensor& dy, Needs needs) -> Gradients {
    Gradients parts(needs.size());
    for (std::size_t i = 0; i < needs.size(); ++i)
      if (needs[i]) parts[i] = slice(dy, {.axis = at, .start = starts[i], .end = starts[i + 1]});
    return parts;
  });
}

Tensor stack(const std::vector<Tensor>& parts, int axis) {
  std::vector<Tensor> raised;
  for (const Tensor& part : parts) {
    check(part.shape() == parts[0].shape(), "stack", "shapes {} and {} differ", parts[0].shape(), part.shape());
    raised.push_back(unsqueeze(part, axis));
  }
  return concat(raised, axis);
}

Tensor contiguous(const Tensor& x, MemoryFormat format) {
  if (x.is_dense(format)) return x;
  return record("contiguous", copy_as(x, x.dtype(), format), {x},
                [from = x.format()](const Tensor& dy, Needs) -> Gradients {
                  // Kernels take gradients in any strides, but batch_lanes has none.
                  const bool lanes = from == MemoryFormat::batch_lanes || dy.format() == MemoryFormat::batch_lanes;
                  return {lanes ? contiguous(dy, from) : dy};
                });
}

Tensor clone(const Tensor& x) {
  return record("clone", copy_as(x, x.dtype(), x.format()), {x},
                [](const Tensor& dy, Needs) -> Gradients { return {dy}; });
}

Tensor cast(const Tensor& x, DType dtype) {
  if (x.dtype() == dtype) return x;
  Tensor y = copy_as(x, dtype, x.format());
  if (!is_floating(dtype)) return y;
  return record("cast", y, {x}, [from = x.dtype()](const Tensor& dy, Needs) -> Gradients { return {cast(dy, from)}; });
}

Tensor to(const Tensor& x, Device device) {
  if (x.device() == device) return x;
  profile::Scope scope("to device");
  return record("to", x.to(device), {x},
                [from = x.device()](const Tensor& dy, Needs) -> Gradients { return {to(dy, from)}; });
}

void copy_into(const Tensor& x, const Tensor& y) {
  check(x.shape() == y.shape(), "copy_into", "shapes differ: {} into {}", x.shape(), y.shape());
  kernels(x).elementwise.copy(x, y);
}

}  // namespace engine
