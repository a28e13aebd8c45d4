// Matrix products of the emulated device: the CPU back end computes them.
#include "engine/cuda/table.h"

namespace engine::cuda {
namespace {

void matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  const Tensor result = Tensor::empty(y.shape(), {.dtype = y.dtype()});
  kernels(Device{}).matmul.matmul(a.to(Device{}), b.to(Device{}), bias.defined() ? bias.to(Device{}) : bias, result);
  kernels(y).elementwise.copy(result.to(y.device()), y);
}

}  // namespace

void fill(MatmulKernels& table) { table.matmul = matmul; }

}  // namespace engine::cuda
