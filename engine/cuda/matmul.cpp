// Matrix product by cuBLASLt: any two types that it multiplies, sums in f32; other types and layouts go through copies.
#include "engine/core/numerics.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/matmul_plan.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

Tensor with_batch(const Tensor& x) {
  return x.rank() == 3 ? x : x.as_strided(x.shape().inserted(0, 1), x.strides().inserted(0, x.numel()));
}

// A factor in the product's type, with strides that cuBLASLt takes.
Tensor factor(const Tensor& x, DType dtype) {
  const Tensor typed = with_batch(as_type(x, dtype));
  return column_major(typed) ? typed : dense(typed, MemoryFormat::contiguous);
}

// Every row of y is the bias, or zero.
void fill_rows(const Tensor& bias, const Tensor& y) {
  const Tensor value = bias.defined() ? bias : Tensor::zeros({1}, {.dtype = y.dtype(), .device = y.device()});
  Strides still = Shape::filled(y.rank(), 0);
  if (bias.defined()) still[y.rank() - 1] = bias.strides()[0];
  copy(value.as_strided(y.shape(), still), y);
}

// y (batch, m, n) row-major, a and b of one type; the bias, if any, of y's.
void product(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  MatmulProblem p{.b = *column_major(b), .a = *column_major(a), .y = *column_major(y)};
  p.tf32 = a.dtype() == DType::f32 && numerics().tf32.products;
  p.bias = bias.defined() && y.dtype() != DType::f64;  // f64 has no epilogue
  if (p.bias == bias.defined() && run_matmul(p, a, b, bias, y)) return;
  if (bias.defined()) {  // the product is added to the bias
    fill_rows(bias, y);
    p.bias = false;
    p.onto = true;
    if (run_matmul(p, a, b, {}, y)) return;
  }
  fail("matmul", "cuBLASLt has no algorithm for {} times {} in {}", a.shape(), b.shape(), name(y.dtype()));
}

bool is_row_major(const Tensor& y3) {
  const auto layout = column_major(y3);
  return layout && !layout->transposed && (layout->batch == 1 || layout->batch_stride >= y3.size(1) * layout->leading);
}

void matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  if (y.numel() == 0) return;
  if (a.size(-1) == 0) return fill_rows(bias, y);
  count_matmul(a, b, y);
  const MatmulTypes types = matmul_types(a.dtype(), b.dtype(), y.dtype());
  const Tensor y3 = with_batch(y);
  const bool direct = y.dtype() == types.result && is_row_major(y3);
  const Tensor sums = direct ? y3 : Tensor::empty(y3.shape(), {.dtype = types.result, .device = y.device()});
  product(factor(a, types.factors), factor(b, types.factors),
          dense(as_type(bias, types.result), MemoryFormat::contiguous), sums);
  if (!direct) copy(sums, y3);
}

}  // namespace

void fill(MatmulKernels& table) { table.matmul = matmul; }

}  // namespace engine::cuda
