// Matrix product: oneDNN for f32 (and bf16 where the processor has it), plain loops for f64, f32 for 16-bit types else.
#include <array>

#include "engine/core/parallel.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/onednn.h"
#include "engine/cpu/plain.h"
#include "engine/cpu/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cpu {
namespace {

using dnnl::memory;

Tensor with_batch(const Tensor& x) {
  return x.rank() == 3 ? x : x.as_strided(x.shape().inserted(0, 1), x.strides().inserted(0, x.numel()));
}

// oneDNN takes a matrix that is row-major or transposed, with room between its rows; anything else is copied first.
Tensor as_matrix(const Tensor& x) {
  Strides s = x.strides();
  const int64_t rows = x.size(1), columns = x.size(2);
  if (rows == 1) s[1] = columns * std::max<int64_t>(s[2], 1);  // strides of single rows and columns mean nothing
  if (columns == 1) s[2] = 1;
  if (x.size(0) == 1) s[0] = rows * columns;
  const bool row_major = s[2] == 1 && s[1] >= columns, transposed = s[1] == 1 && s[2] >= rows;
  if ((row_major || transposed) && s[0] >= rows * columns) return x.as_strided(x.shape(), s);
  return dense(x, MemoryFormat::contiguous);
}

// What oneDNN is told of a matrix, or of a batch of them.
struct Operand {
  Shape shape;
  Strides strides;
  DType dtype;

  static Operand batch(const Tensor& x) { return {x.shape(), x.strides(), x.dtype()}; }
  // The one matrix of a batch.
  static Operand single(const Tensor& x) {
    return {{x.size(1), x.size(2)}, {x.strides()[1], x.strides()[2]}, x.dtype()};
  }
  // The same with as many rows as each call says.
  static Operand of_any_rows(const Tensor& x) {
    return {{DNNL_RUNTIME_DIM_VAL, x.size(2)}, {x.strides()[1], 1}, x.dtype()};
  }
  memory::desc desc() const { return describe(shape, strides, dtype); }
};

// Making oneDNN's primitive for a product with few weights takes longer, 0.3 ms, than the product, and where a cascade
// lets samples stop, batches of every size come by: one primitive serves any number of rows. It is as fast as one made
// for the number (K 48 to 64, N 1 to 1000, measured), and faster for a single row.
bool serves_any_rows(const Tensor& a, const Tensor& b, const Tensor& y) {
  constexpr int64_t few = 1 << 16;
  const auto row_major = [](const Tensor& x) { return x.strides()[2] == 1; };
  const bool f32 = a.dtype() == DType::f32 && b.dtype() == DType::f32 && y.dtype() == DType::f32;
  return f32 && a.size(0) == 1 && b.numel() <= few && row_major(a) && row_major(y);
}

void matmul_onednn(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  static thread_local PrimitiveCache<dnnl::primitive> cache(256);
  const bool any_rows = serves_any_rows(a, b, y);
  const auto described = any_rows ? std::array{Operand::of_any_rows(a), Operand::single(b), Operand::of_any_rows(y)}
                                  : std::array{Operand::batch(a), Operand::batch(b), Operand::batch(y)};
  PrimitiveKey key{bias.defined(), num_threads()};
  for (const Operand& o : described) {
    append(key, o.shape);
    append(key, o.strides);
    key.push_back(static_cast<int64_t>(o.dtype));
  }
  memory::desc bias_desc;
  if (bias.defined()) {
    const Shape row = any_rows ? Shape{1, y.size(2)} : Shape{1, 1, y.size(2)};
    bias_desc = describe(row, contiguous_strides(row));
  }
  const auto primitive = cache.get(key, [&] {
    return dnnl::matmul(dnnl::matmul::primitive_desc(onednn_engine(), described[0].desc(), described[1].desc(),
                                                     bias_desc, described[2].desc()));
  });
  const auto argument = [&](const Tensor& x) {
    return wrap((any_rows ? Operand::single(x) : Operand::batch(x)).desc(), x);
  };
  std::unordered_map<int, memory> arguments{
      {DNNL_ARG_SRC, argument(a)}, {DNNL_ARG_WEIGHTS, argument(b)}, {DNNL_ARG_DST, argument(y)}};
  if (bias.defined()) arguments.emplace(DNNL_ARG_BIAS, wrap(bias_desc, bias));
  primitive->execute(onednn_stream(), arguments);
}

// All of one type that is computed in, but y and the bias may be f32 beside bf16.
void product(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  if (y.numel() == 0) return;
  count_matmul(a, b, y);
  const Tensor a3 = with_batch(a), b3 = with_batch(b), y3 = with_batch(y);
  if (a.dtype() == DType::f64) return plain::matmul(a3, b3, bias, y3);
  if (a.size(-1) == 0) {
    const Tensor empty_sum = bias.defined() ? bias : Tensor::scalar(0);
    Strides still = Shape::filled(y.rank(), 0);
    if (bias.defined()) still[y.rank() - 1] = bias.strides()[0];
    return copy(empty_sum.as_strided(y.shape(), still), y);
  }
  check(computes_in(a.dtype()), "matmul", "not defined for {}: cast first", name(a.dtype()));
  onednn_call("matmul", [&] { matmul_onednn(as_matrix(a3), as_matrix(b3), dense(bias), as_matrix(y3)); });
}

void matmul(const Tensor& a, const Tensor& b, const Tensor& bias, const Tensor& y) {
  const DType half = is_half(a.dtype()) ? a.dtype() : b.dtype();
  const bool halves = is_half(half) && computes_in(half);
  if (!is_half(half) && !is_half(y.dtype())) return product(a, b, bias, y);
  const DType factors = halves ? half : DType::f32;
  // oneDNN rounds sums to 16 bits where the factors have 16 bits.
  const Tensor sums = !is_half(y.dtype()) || (halves && y.dtype() == half) ? y : empty_like(y, DType::f32);
  product(as_type(a, factors), as_type(b, factors), as_type(bias, DType::f32), sums);
  if (!sums.shares_storage(y)) copy(sums, y);
}

}  // namespace

void fill(MatmulKernels& table) { table.matmul = matmul; }

}  // namespace engine::cpu
