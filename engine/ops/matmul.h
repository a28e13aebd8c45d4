// Matrix products.
#pragma once
#include "engine/autograd/node.h"

namespace engine {

// (m, k) x (k, n) -> (m, n), or with an equal batch dimension in front of both.
Tensor matmul(const Tensor& a, const Tensor& b);
// x (N, in), w (out, in), b (out) or none -> (N, out).
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b = {});

}  // namespace engine
