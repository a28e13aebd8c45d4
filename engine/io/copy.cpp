#include "engine/io/copy.h"

#include <cstring>

namespace engine {
namespace {

// Calls f(offset in a, offset in b) for every element in row-major order.
template <class F>
void for_each_pair(const Shape& shape, const Strides& a, const Strides& b, F&& f) {
  Shape index = Shape::filled(shape.rank(), 0);
  int64_t i = 0, j = 0;
  for (int64_t left = shape.numel(); left > 0; --left) {
    f(i, j);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      i += a[axis];
      j += b[axis];
      if (++index[axis] < shape[axis]) break;
      i -= a[axis] * shape[axis];
      j -= b[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

template <class From, class Into>
void copy_strided(const Tensor& from, const Tensor& into) {
  const From* source = from.data<From>();
  Into* target = into.data<Into>();
  for_each_pair(from.shape(), from.strides(), into.strides(), [&](int64_t i, int64_t j) {
    if constexpr (std::is_same_v<From, Into>)
      target[j] = source[i];
    else
      target[j] = static_cast<Into>(static_cast<Compute<Into>>(static_cast<Compute<From>>(source[i])));
  });
}

}  // namespace

bool can_copy(DType from, DType into) { return from == into || (is_floating(from) && is_floating(into)); }

void copy_elements(const Tensor& from, const Tensor& into) {
  check(from.shape() == into.shape(), "copy", "shapes differ: {} into {}", from.shape(), into.shape());
  check(can_copy(from.dtype(), into.dtype()), "copy", "cannot store {} elements as {}: cast first", name(from.dtype()),
        name(into.dtype()));
  if (from.numel() == 0) return;
  if (from.dtype() != into.dtype()) {
    dispatch_floating(from.dtype(), "copy", [&](auto source) {
      dispatch_floating(into.dtype(), "copy", [&](auto target) {
        copy_strided<typename decltype(source)::type, typename decltype(target)::type>(from, into);
      });
    });
  } else if (from.is_contiguous() && into.is_contiguous()) {
    std::memcpy(into.raw(), from.raw(), from.numel() * size_of(from.dtype()));
  } else {
    dispatch_all(from.dtype(), [&](auto tag) {
      copy_strided<typename decltype(tag)::type, typename decltype(tag)::type>(from, into);
    });
  }
}

Tensor row_major(const Tensor& x) {
  if (x.is_contiguous()) return x;
  Tensor copy = Tensor::empty(x.shape(), {.dtype = x.dtype(), .device = x.device()});
  copy_elements(x, copy);
  return copy;
}

}  // namespace engine
