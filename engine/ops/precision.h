// What ops do with the types of their inputs under Autocast (engine/autograd/autocast.h): each op that cares passes its
// activations through one of these first. Both are recorded, and do nothing outside of the guard.
//
//   autocast_input   conv2d, matmul, linear: cost most, and their sums are kept in f32
//   full_precision   exp, log, pow, softplus, sum, softmax, losses, norms: lose digits, or range, in 16 bits
//   neither          batch_norm (statistics and parameters are f32 for any input), relu, pooling, copies, arithmetic
//
// The division is PyTorch's.
#pragma once
#include "engine/autograd/node.h"

namespace engine {

Tensor autocast_input(const Tensor& x);  // f32 -> the guard's type
Tensor full_precision(const Tensor& x);  // a 16-bit type -> f32

// Whether a product can take a weight of type w for activations of type x: the same one, or f32 for 16 bits.
bool weight_fits(DType x, DType w);

}  // namespace engine
