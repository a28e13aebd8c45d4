// Convolution, pooling and matrix product as their definitions say, in f64 and for any strides: what gradient checks
// and the tests of faster kernels compare with.
#pragma once
#include "engine/kernels/conv.h"
#include "engine/kernels/pool.h"

namespace engine::cpu::plain {

void conv_forward(const Tensor& x, const Tensor& w, const Tensor& b, const Conv2dOptions& options, const Tensor& y);
void conv_backward_input(const Tensor& dy, const Tensor& w, const Conv2dOptions& options, const Tensor& dx);
void conv_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dOptions& options, const Tensor& dw);

// where: i64 with y's shape, the winner's position h W + w in its plane.
void max_pool(const Tensor& x, const Pool2dOptions& options, const Tensor& y, const Tensor& where);
void max_pool_backward(const Tensor& dy, const Tensor& where, const Tensor& dx);
void average_pool(const Tensor& x, const Pool2dOptions& options, const Tensor& y);
void average_pool_backward(const Tensor& dy, const Pool2dOptions& options, const Tensor& dx);

void matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y);  // rank 3

}  // namespace engine::cpu::plain
