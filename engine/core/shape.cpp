#include "engine/core/shape.h"

#include <algorithm>

namespace engine {

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  check(dims.size() <= max_rank, "shape", "at most {} dimensions, got {}", max_rank, dims.size());
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

Shape Shape::filled(int rank, int64_t value) {
  Shape shape;
  for (int i = 0; i < rank; ++i) shape.push_back(value);
  return shape;
}

int64_t Shape::numel() const {
  int64_t n = 1;
  for (int64_t d : *this) n *= d;
  return n;
}

int Shape::wrap_axis(int axis, const char* op) const {
  const int wrapped = axis < 0 ? axis + rank_ : axis;
  check(wrapped >= 0 && wrapped < rank_, op, "axis {} is out of range for shape {}", axis, *this);
  return wrapped;
}

void Shape::push_back(int64_t dim) {
  check(rank_ < max_rank, "shape", "at most {} dimensions", max_rank);
  dims_[rank_++] = dim;
}

Shape Shape::erased(int axis) const {
  Shape out;
  for (int i = 0; i < rank_; ++i)
    if (i != axis) out.push_back(dims_[i]);
  return out;
}

Shape Shape::inserted(int axis, int64_t dim) const {
  Shape out;
  for (int i = 0; i <= rank_; ++i) {
    if (i == axis) out.push_back(dim);
    if (i < rank_) out.push_back(dims_[i]);
  }
  return out;
}

Shape Shape::replaced(int axis, int64_t dim) const {
  Shape out = *this;
  out[axis] = dim;
  return out;
}

bool Shape::operator==(const Shape& other) const { return std::equal(begin(), end(), other.begin(), other.end()); }

std::string Shape::str() const { return fmt::format("({}{})", fmt::join(begin(), end(), ", "), rank_ == 1 ? "," : ""); }

Strides contiguous_strides(const Shape& shape) {
  Strides strides = shape;
  int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Shape broadcast(const Shape& a, const Shape& b, const char* op) {
  const Shape& longer = a.rank() >= b.rank() ? a : b;
  const Shape& shorter = a.rank() >= b.rank() ? b : a;
  Shape out = longer;
  const int lead = longer.rank() - shorter.rank();
  for (int i = 0; i < shorter.rank(); ++i) {
    const int64_t x = longer[lead + i], y = shorter[i];
    check(x == y || x == 1 || y == 1, op, "shapes {} and {} don't broadcast: axis {} has {} and {}", a, b, lead + i, x,
          y);
    out[lead + i] = x == 1 ? y : x;
  }
  return out;
}

}  // namespace engine
