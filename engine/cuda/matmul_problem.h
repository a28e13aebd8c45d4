// A matrix product as it is given to cuBLASLt: plain values, the key under which the choice of an algorithm is kept.
//
// cuBLASLt's matrices are column-major, and a row-major y (m, n) is a column-major y^T (n, m). So it is asked for
// y^T = b^T a^T: b is its first factor and a its second, and a row-major factor is not transposed.
#pragma once
#include <optional>

#include "engine/core/tensor.h"

namespace engine::cuda {

// A (batch, rows, columns) tensor in memory, column by column.
struct ColumnMajor {
  int64_t rows = 0, columns = 0;  // of what lies in memory
  int64_t leading = 0;            // elements from one column to the next
  int64_t batch = 1, batch_stride = 0;
  bool transposed = false;  // the factor that is meant is this matrix transposed
  int alignment = 256;      // bytes that divide its address, at most 256
  DType dtype = DType::f32;
  bool operator==(const ColumnMajor&) const = default;
};

// x (batch, rows, columns) as a factor: its transpose is this matrix, transposed where it says so. None where neither
// its rows nor its columns lie densely one after the other: a dense copy is needed.
std::optional<ColumnMajor> column_major(const Tensor& x);

struct MatmulProblem {
  ColumnMajor b, a, y;  // y is never transposed
  bool bias = false;    // (n), of y's type
  bool onto = false;    // y += a b
  bool tf32 = false;    // f32 factors may be rounded
  bool operator==(const MatmulProblem&) const = default;
};
struct MatmulProblemHash {
  std::size_t operator()(const MatmulProblem& problem) const;
};

// The types that a product is computed with: factors share one, and sums are f32 (f64 for f64).
struct MatmulTypes {
  DType factors, result;
};
MatmulTypes matmul_types(DType a, DType b, DType y);

}  // namespace engine::cuda
