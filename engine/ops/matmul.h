// Matrix products.
#pragma once
#include "engine/autograd/node.h"

namespace engine {

// (m, k) x (k, n) -> (m, n), or with an equal batch dimension in front of both. The result has a's type; b has it too,
// or is f32 beside a 16-bit a.
Tensor matmul(const Tensor& a, const Tensor& b);
// x (N, in), w (out, in), b (out) or none -> (N, out), with types as matmul.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b = {});

}  // namespace engine
