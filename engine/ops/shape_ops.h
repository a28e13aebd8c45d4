// Functions that rearrange: views where strides can say it, copies elsewhere.
#pragma once
#include <limits>

#include "engine/autograd/node.h"

namespace engine {

Tensor reshape(const Tensor& x, const Shape& shape);  // one dimension may be -1; a view when x is contiguous
Tensor flatten(const Tensor& x, int from_axis);       // merges from_axis and all after it
Tensor permute(const Tensor& x, const std::vector<int>& axes);
Tensor transpose(const Tensor& x, int axis_a, int axis_b);
Tensor unsqueeze(const Tensor& x, int axis);
Tensor squeeze(const Tensor& x, int axis);
Tensor expand_to(const Tensor& x, const Shape& shape);  // broadcast view (strides of 0)

struct SliceOptions {
  int axis = 0;
  int64_t start = 0;
  int64_t end = std::numeric_limits<int64_t>::max();  // exclusive, cut to the size
  int64_t step = 1;                                   // > 0
};
Tensor slice(const Tensor& x, SliceOptions options);      // a view
Tensor select(const Tensor& x, int axis, int64_t index);  // x[..., index, ...], without that axis

struct PadOptions {
  int axis = 0;
  int64_t before = 0, after = 0;
};
Tensor pad(const Tensor& x, PadOptions options);  // with zeros

Tensor concat(const std::vector<Tensor>& parts, int axis);
Tensor stack(const std::vector<Tensor>& parts, int axis);

// A dense copy in row-major order or `format`; x itself when it is so already. The profiler names the conversion.
Tensor contiguous(const Tensor& x, MemoryFormat format = MemoryFormat::contiguous);
Tensor clone(const Tensor& x);
Tensor cast(const Tensor& x, DType dtype);  // x itself when it has that dtype

// The same elements on another device; x itself where it lives there.
Tensor to(const Tensor& x, Device device);

// y = x (same shape and device; dtype and layout may differ), without recording: for filling existing tensors.
void copy_into(const Tensor& x, const Tensor& y);

}  // namespace engine
