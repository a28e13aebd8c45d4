#include "engine/cuda/matmul_problem.h"

#include <algorithm>

#include "engine/core/word_hash.h"

namespace engine::cuda {
namespace {

int alignment_of(const Tensor& x) {
  const auto address = reinterpret_cast<uintptr_t>(x.raw());
  return static_cast<int>(std::min<uintptr_t>(address ? address & -address : 256, 256));
}

}  // namespace

std::optional<ColumnMajor> column_major(const Tensor& x) {
  Strides s = x.strides();
  const int64_t rows = x.size(1), columns = x.size(2);
  // Strides of single rows and columns mean nothing.
  if (columns == 1) s[2] = 1;
  if (rows == 1) s[1] = s[2] == 1 ? columns : 1;
  ColumnMajor m{
      .batch = x.size(0), .batch_stride = x.size(0) == 1 ? 0 : s[0], .alignment = alignment_of(x), .dtype = x.dtype()};
  if (s[2] == 1 && s[1] >= columns) {
    m.rows = columns;
    m.columns = rows;
    m.leading = s[1];
  } else if (s[1] == 1 && s[2] >= rows) {
    m.rows = rows;
    m.columns = columns;
    m.leading = s[2];
    m.transposed = true;
  } else {
    return {};
  }
  return m;
}

std::size_t MatmulProblemHash::operator()(const MatmulProblem& p) const {
  WordHash hash;
  for (const ColumnMajor* m : {&p.b, &p.a, &p.y}) {
    for (const int64_t word : {m->rows, m->columns, m->leading, m->batch, m->batch_stride}) hash.mix(word);
    hash.mix(m->transposed | m->alignment << 1 | static_cast<int64_t>(m->dtype) << 16);
  }
  hash.mix(p.bias | p.onto << 1 | p.tf32 << 2);
  return hash.value();
}

MatmulTypes matmul_types(DType a, DType b, DType y) {
  if (a == DType::f64) return {DType::f64, DType::f64};
  const DType factors = is_half(a) ? a : is_half(b) ? b : DType::f32;
  return {factors, y == factors ? y : DType::f32};
}

}  // namespace engine::cuda
