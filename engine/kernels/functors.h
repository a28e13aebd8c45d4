// Per-element maths, one source for every back end: value and derivative of each unary function, each binary function.
// T is the compute type (float or double); a and b are the op's parameters.
#pragma once
#include <cmath>

#include "engine/core/host_device.h"
#include "engine/kernels/elementwise.h"

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

// Calls f with the functor of a unary op in compute type T.
template <class T, class F>
void with_unary(Unary u, F&& f) {
  const T a = static_cast<T>(u.a), b = static_cast<T>(u.b);
  switch (u.op) {
    case UnaryOp::relu: return f(Relu<T>{});
    case UnaryOp::sigmoid: return f(Sigmoid<T>{});
    case UnaryOp::tanh: return f(Tanh<T>{});
    case UnaryOp::exp: return f(Exp<T>{});
    case UnaryOp::log: return f(Log<T>{});
    case UnaryOp::sqrt: return f(Sqrt<T>{});
    case UnaryOp::abs: return f(Abs<T>{});
    case UnaryOp::softplus: return f(Softplus<T>{});
    case UnaryOp::pow: return f(Pow<T>{a});
    case UnaryOp::clamp: return f(Clamp<T>{a, b});
    case UnaryOp::affine: return f(Affine<T>{a, b});
  }
}

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
