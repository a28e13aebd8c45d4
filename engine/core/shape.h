// Shapes and strides: a short list of dimensions held inline (no allocation), with broadcasting rules.
#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "engine/core/error.h"

namespace engine {

// Up to 8 dimensions; indices may be negative in `at` (-1 is the last).
class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);
  static Shape filled(int rank, int64_t value);

  int rank() const { return rank_; }
  int64_t numel() const;  // product of the dimensions; 1 for a scalar
  int64_t operator[](int axis) const { return dims_[axis]; }
  int64_t& operator[](int axis) { return dims_[axis]; }
  int64_t at(int axis) const { return dims_[wrap_axis(axis, "shape")]; }

  // Axis in [0, rank): wraps negative ones, throws with `op`'s name when out of range.
  int wrap_axis(int axis, const char* op) const;

  void push_back(int64_t dim);
  Shape erased(int axis) const;                 // without one axis
  Shape inserted(int axis, int64_t dim) const;  // with a new axis before `axis`
  Shape replaced(int axis, int64_t dim) const;  // with one dimension changed

  const int64_t* begin() const { return dims_.data(); }
  const int64_t* end() const { return dims_.data() + rank_; }
  bool operator==(const Shape& other) const;
  std::string str() const;  // "(8, 3, 32, 32)"

 private:
  std::array<int64_t, max_rank> dims_{};
  int rank_ = 0;
};

using Strides = Shape;  // in elements

// Row-major strides.
Strides contiguous_strides(const Shape& shape);

// numpy's rule: align at the last axis, a dimension of 1 stretches. Throws naming `op` and both shapes.
Shape broadcast(const Shape& a, const Shape& b, const char* op);

}  // namespace engine

template <>
struct fmt::formatter<engine::Shape> : fmt::formatter<std::string> {
  template <class Context>
  auto format(const engine::Shape& shape, Context& context) const {
    return fmt::formatter<std::string>::format(shape.str(), context);
  }
};
