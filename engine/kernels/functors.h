// Per-element maths, one source for every back end: value and derivative of each unary function, each binary function.
// T is the compute type (float or double); a and b are the op's parameters.
#pragma once
#include <cmath>

#if defined(__CUDACC__)
#define ENGINE_HD __host__ __device__
#else
#define ENGINE_HD
#endif

namespace engine::functors {

// forward(x); backward(x, y, dy) = dy * df/dx with y = forward(x).
template <class T>
struct Relu {
  ENGINE_HD T forward(T x) const { return x > T(0) ? x : (x == x ? T(0) : x); }  // NaN passes through
  ENGINE_HD T backward(T, T y, T dy) const { return y > T(0) ? dy : T(0); }
};
template <class T>
struct Sigmoid {
  ENGINE_HD T forward(T x) const { return T(1) / (T(1) + std::exp(-x)); }
  ENGINE_HD T backward(T, T y, T dy) const { return dy * y * (T(1) - y); }
};
template <class T>
struct Tanh {
  ENGINE_HD T forward(T x) const { return std::tanh(x); }
  ENGINE_HD T backward(T, T y, T dy) const { return dy * (T(1) - y * y); }
};
template <class T>
struct Exp {
  ENGINE_HD T forward(T x) const { return std::exp(x); }
  ENGINE_HD T backward(T, T y, T dy) const { return dy * y; }
};
template <class T>
struct Log {
  ENGINE_HD T forward(T x) const { return std::log(x); }
  ENGINE_HD T backward(T x, T, T dy) const { return dy / x; }
};
template <class T>
struct Sqrt {
  ENGINE_HD T forward(T x) const { return std::sqrt(x); }
  ENGINE_HD T backward(T, T y, T dy) const { return dy * T(0.5) / y; }
};
template <class T>
struct Abs {
  ENGINE_HD T forward(T x) const { return std::abs(x); }
  ENGINE_HD T backward(T x, T, T dy) const { return x > T(0) ? dy : x < T(0) ? -dy : T(0); }
};
// log(1 + e^x), without overflow: the piece of binary cross-entropy that needs care.
template <class T>
struct Softplus {
  ENGINE_HD T forward(T x) const { return (x > T(0) ? x : T(0)) + std::log1p(std::exp(-std::abs(x))); }
  ENGINE_HD T backward(T x, T, T dy) const { return dy / (T(1) + std::exp(-x)); }
};
template <class T>
struct Pow {  // x^a
  T a;
  ENGINE_HD T forward(T x) const { return std::pow(x, a); }
  ENGINE_HD T backward(T x, T, T dy) const { return a == T(0) ? T(0) : dy * a * std::pow(x, a - T(1)); }
};
template <class T>
struct Clamp {  // into [a, b]; the gradient passes on the borders, as in PyTorch
  T a, b;
  ENGINE_HD T forward(T x) const { return x < a ? a : x > b ? b : x; }
  ENGINE_HD T backward(T x, T, T dy) const { return x >= a && x <= b ? dy : T(0); }
};
template <class T>
struct Affine {  // a x + b
  T a, b;
  ENGINE_HD T forward(T x) const { return a * x + b; }
  ENGINE_HD T backward(T, T, T dy) const { return a * dy; }
};

template <class T>
struct Add {
  ENGINE_HD T operator()(T x, T y) const { return x + y; }
};
template <class T>
struct Sub {
  ENGINE_HD T operator()(T x, T y) const { return x - y; }
};
template <class T>
struct Mul {
  ENGINE_HD T operator()(T x, T y) const { return x * y; }
};
template <class T>
struct Div {
  ENGINE_HD T operator()(T x, T y) const { return x / y; }
};

template <class T>
struct Equal {
  ENGINE_HD bool operator()(T x, T y) const { return x == y; }
};
template <class T>
struct Less {
  ENGINE_HD bool operator()(T x, T y) const { return x < y; }
};
template <class T>
struct LessEqual {
  ENGINE_HD bool operator()(T x, T y) const { return x <= y; }
};

}  // namespace engine::functors
