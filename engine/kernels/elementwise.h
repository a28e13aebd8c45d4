// Kernels that treat each element by itself. Outputs come last, are allocated by the caller and may have any strides;
// inputs are broadcast by strides of 0 (`expand_to` in ops/shape_ops.h), so all shapes are equal here.
#pragma once
#include "engine/core/random.h"
#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

enum class UnaryOp { relu, sigmoid, tanh, exp, log, sqrt, abs, softplus, pow, clamp, affine };
struct Unary {
  UnaryOp op;
  double a = 0, b = 0;  // pow: exponent a; clamp: [a, b]; affine: a x + b
};
enum class BinaryOp { add, sub, mul, div };
enum class CompareOp { equal, less, less_equal };

struct ElementwiseKernels {
  Slot<void(Unary, const Tensor& x, const Tensor& y)> unary{"unary"};
  Slot<void(Unary, const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& dx)> unary_backward{
      "unary_backward"};
  Slot<void(BinaryOp, const Tensor& a, const Tensor& b, const Tensor& y)> binary{"binary"};     // y may be a: in place
  Slot<void(CompareOp, const Tensor& a, const Tensor& b, const Tensor& y)> compare{"compare"};  // y: bool
  Slot<void(const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& y)> where{"where"};
  // y = x, converting dtype and layout.
  Slot<void(const Tensor& x, const Tensor& y)> copy{"copy"};
  // y = x * mask / (1 - p); element i of the row-major order is kept when its Philox number is >= p, number i of the
  // seed's stream philox_pair(mask). A recorded step (StepGraph) takes each replay's masks from where the default
  // generator then stands.
  Slot<void(const Tensor& x, double p, const Generator::State& mask, const Tensor& y)> dropout{"dropout"};
};

}  // namespace engine
