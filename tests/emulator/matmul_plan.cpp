// Matrix products of the emulated device: what cuBLASLt is asked for, computed column by column when the stream comes
// to it.
#include "engine/cuda/matmul_plan.h"

#include "engine/cuda/runtime.h"
#include "tests/emulator/execution.h"
#include "tests/emulator/tf32.h"

namespace engine::cuda {
namespace {

struct Matrix {
  std::byte* address;
  ColumnMajor layout;

  int64_t position(int64_t batch, int64_t row, int64_t column) const {
    if (layout.transposed) std::swap(row, column);
    return batch * layout.batch_stride + column * layout.leading + row;
  }
  double get(int64_t batch, int64_t row, int64_t column) const {
    return dispatch_floating(layout.dtype, "matmul", [&](auto tag) -> double {
      using T = typename decltype(tag)::type;
      return static_cast<Compute<T>>(reinterpret_cast<const T*>(address)[position(batch, row, column)]);
    });
  }
  void set(int64_t batch, int64_t row, int64_t column, double value) const {
    dispatch_floating(layout.dtype, "matmul", [&](auto tag) {
      using T = typename decltype(tag)::type;
      reinterpret_cast<T*>(address)[position(batch, row, column)] = static_cast<T>(static_cast<Compute<T>>(value));
    });
  }
};

}  // namespace

bool run_matmul(const MatmulProblem& p, const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  check(p.a == column_major(a) && p.b == column_major(b) && p.y == column_major(y) && !p.y.transposed &&
            p.a.dtype == p.b.dtype && p.bias == bias.defined(),
        "matmul", "{} times {} to {} is not what was described", a.str(), b.str(), y.str());
  check(!p.bias || (bias.dtype() == y.dtype() && bias.is_contiguous() && y.dtype() != DType::f64), "matmul",
        "there is no epilogue for this bias");
  Context& c = context(y.device().index);
  const Matrix left{b.raw(), p.b}, right{a.raw(), p.a}, result{y.raw(), p.y};
  const Matrix column{p.bias ? bias.raw() : nullptr, {.dtype = p.y.dtype}};
  emulator::enqueue(c.stream(), [=] {
    const bool tf32 = p.tf32 && p.a.dtype == DType::f32;
    const auto factor = [=](double x) -> double { return tf32 ? to_tf32(static_cast<float>(x)) : x; };
    const int64_t inner = p.b.transposed ? p.b.rows : p.b.columns;
    for (int64_t batch = 0; batch < p.y.batch; ++batch)
      for (int64_t j = 0; j < p.y.columns; ++j)
        for (int64_t i = 0; i < p.y.rows; ++i) {
          double sum = p.bias ? column.get(0, i, 0) : 0;
          if (p.onto) sum += result.get(batch, i, j);
          for (int64_t k = 0; k < inner; ++k) sum += factor(left.get(batch, i, k)) * factor(right.get(batch, k, j));
          result.set(batch, i, j, sum);
        }
  });
  c.launched("matmul");
  return true;
}

}  // namespace engine::cuda
