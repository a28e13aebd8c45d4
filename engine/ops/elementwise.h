// Element-wise functions and arithmetic. Binary ones broadcast as numpy does and ask for equal dtypes.
#pragma once
#include <limits>

#include "engine/autograd/node.h"

namespace engine {

Tensor relu(const Tensor& x);
Tensor sigmoid(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor abs(const Tensor& x);
Tensor softplus(const Tensor& x);  // log(1 + e^x)
Tensor pow(const Tensor& x, double exponent);

struct ClampOptions {
  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();
};
Tensor clamp(const Tensor& x, ClampOptions bounds);

struct AffineOptions {
  double scale = 1, shift = 0;
};
Tensor affine(const Tensor& x, AffineOptions options);  // scale x + shift

Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
inline Tensor operator+(const Tensor& a, double b) { return affine(a, {.shift = b}); }
inline Tensor operator+(double a, const Tensor& b) { return affine(b, {.shift = a}); }
inline Tensor operator-(const Tensor& a, double b) { return affine(a, {.shift = -b}); }
inline Tensor operator-(double a, const Tensor& b) { return affine(b, {.scale = -1, .shift = a}); }
inline Tensor operator*(const Tensor& a, double b) { return affine(a, {.scale = b}); }
inline Tensor operator*(double a, const Tensor& b) { return affine(b, {.scale = a}); }
inline Tensor operator/(const Tensor& a, double b) { return affine(a, {.scale = 1 / b}); }
inline Tensor operator/(double a, const Tensor& b) { return a * pow(b, -1); }
inline Tensor operator-(const Tensor& a) { return affine(a, {.scale = -1}); }

// Comparisons give bool tensors, broadcast likewise, have no gradient.
Tensor equal(const Tensor& a, const Tensor& b);
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);

// a where condition (bool) holds, else b; broadcasts.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

// a += b without recording; b broadcasts to a.
void add_in_place(const Tensor& a, const Tensor& b);

// Sums x over the axes along which `shape` was broadcast to x's shape: the backward of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);

struct DropoutOptions {
  double p = 0.5;        // share of elements set to zero; the rest is scaled by 1 / (1 - p)
  bool training = true;  // false: the identity
};
// Draws its mask from default_generator().
Tensor dropout(const Tensor& x, DropoutOptions options);

}  // namespace engine
