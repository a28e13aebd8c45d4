// Matrix products as they are described to cuBLASLt, computed by plain loops over column-major matrices.
#include "engine/cuda/matmul_problem.h"

#include <doctest/doctest.h>

#include <unordered_set>

#include "engine/core/random.h"
#include "engine/kernels/select.h"
#include "engine/ops/shape_ops.h"

using namespace engine;
using namespace engine::cuda;

namespace {

Tensor random_tensor(const Shape& shape, uint64_t seed) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = to_uniform(philox(seed, 0, i)[0]) - 0.5f;
  return Tensor::from(values, shape);
}

float element(const Tensor& x, const ColumnMajor& m, int64_t batch, int64_t row, int64_t column) {
  if (m.transposed) std::swap(row, column);
  REQUIRE(row < m.rows);
  REQUIRE(column < m.columns);
  REQUIRE(m.leading >= m.rows);
  return x.data<float>()[batch * m.batch_stride + column * m.leading + row];
}

// op(B) op(A) as cuBLASLt computes it, into y's column-major matrix.
void reference(const MatmulProblem& p, const Tensor& a, const Tensor& b, const Tensor& y) {
  const int64_t inner = p.b.transposed ? p.b.rows : p.b.columns;
  REQUIRE(inner == (p.a.transposed ? p.a.columns : p.a.rows));
  REQUIRE(!p.y.transposed);
  for (int64_t batch = 0; batch < p.y.batch; ++batch)
    for (int64_t column = 0; column < p.y.columns; ++column)
      for (int64_t row = 0; row < p.y.rows; ++row) {
        double sum = 0;
        for (int64_t i = 0; i < inner; ++i)
          sum += double{element(b, p.b, batch, row, i)} * element(a, p.a, batch, i, column);
        y.data<float>()[batch * p.y.batch_stride + column * p.y.leading + row] = static_cast<float>(sum);
      }
}

void check_product(const Tensor& a, const Tensor& b) {
  CAPTURE(a.shape().str());
  CAPTURE(b.shape().str());
  const auto in_b = column_major(b), in_a = column_major(a);
  REQUIRE(in_a.has_value());
  REQUIRE(in_b.has_value());
  const Tensor y = Tensor::empty({a.size(0), a.size(1), b.size(2)}), expected = Tensor::empty(y.shape());
  reference({.b = *in_b, .a = *in_a, .y = column_major(y).value()}, a, b, y);
  kernels(Device{}).matmul.matmul(a, b, {}, expected);
  const auto got = y.to<float>(), wanted = expected.to<float>();
  for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == doctest::Approx(wanted[i]).epsilon(1e-5));
}

Tensor t(const Tensor& x) { return transpose(x, 1, 2); }

}  // namespace

TEST_CASE("row-major and transposed factors, with room between their rows, alone and in batches") {
  for (const int64_t batch : {1, 3})
    for (const auto& [m, n, k] :
         {std::array<int64_t, 3>{4, 5, 6}, {1, 5, 6}, {4, 1, 6}, {4, 5, 1}, {1, 1, 6}, {1, 1, 1}}) {
      const Tensor a = random_tensor({batch, m, k}, 1), b = random_tensor({batch, k, n}, 2);
      const Tensor a_turned = t(random_tensor({batch, k, m}, 3)), b_turned = t(random_tensor({batch, n, k}, 4));
      const Tensor wide = random_tensor({batch, m, k + 3}, 5), tall = random_tensor({batch, n, k + 2}, 6);
      const Tensor a_wide = wide.as_strided({batch, m, k}, wide.strides(), 2);
      const Tensor b_tall = t(tall.as_strided({batch, n, k}, tall.strides(), 1));
      for (const Tensor& left : {a, a_turned, a_wide})
        for (const Tensor& right : {b, b_turned, b_tall}) check_product(left, right);
    }
}

TEST_CASE("a factor that is the same in all of a batch") {
  const Tensor a = random_tensor({3, 4, 6}, 1), b = random_tensor({1, 6, 5}, 2);
  check_product(a, b.as_strided({3, 6, 5}, {0, 5, 1}));
}

TEST_CASE("what cuBLASLt can't take is told apart") {
  const Tensor x = random_tensor({2, 4, 12}, 1);
  CHECK(!column_major(x.as_strided({2, 4, 6}, {48, 12, 2})));  // every other column
  CHECK(!column_major(x.as_strided({2, 4, 6}, {48, 0, 1})));   // one row for all
  CHECK(!column_major(x.as_strided({2, 4, 6}, {48, 3, 1})));   // rows that overlap
  CHECK(column_major(x)->leading == 12);
  CHECK(!column_major(x)->transposed);
  CHECK(column_major(t(x))->transposed);
}

TEST_CASE("alignment is that of the address") {
  const Tensor x = random_tensor({1, 16, 128}, 1);
  CHECK(column_major(x)->alignment >= 64);
  CHECK(column_major(x.as_strided({1, 8, 8}, {0, 128, 1}, 1))->alignment == 4);
  CHECK(column_major(x.as_strided({1, 8, 8}, {0, 128, 1}, 2))->alignment == 8);
  CHECK(column_major(x.as_strided({1, 8, 8}, {0, 128, 1}, 4))->alignment == 16);
}

TEST_CASE("types of a product") {
  const auto types = [](DType a, DType b, DType y) {
    const MatmulTypes t = matmul_types(a, b, y);
    return std::pair(t.factors, t.result);
  };
  using enum DType;
  CHECK(types(f32, f32, f32) == std::pair(f32, f32));
  CHECK(types(bf16, bf16, bf16) == std::pair(bf16, bf16));
  CHECK(types(bf16, f32, bf16) == std::pair(bf16, bf16));
  CHECK(types(f32, bf16, f32) == std::pair(bf16, f32));
  CHECK(types(f16, f16, f32) == std::pair(f16, f32));
  CHECK(types(bf16, bf16, f16) == std::pair(bf16, f32));
  CHECK(types(f32, f32, bf16) == std::pair(f32, f32));
  CHECK(types(f64, f64, f64) == std::pair(f64, f64));
}

TEST_CASE("the key of a product's algorithm tells all that the choice depends on") {
  const ColumnMajor m{.rows = 6, .columns = 5, .leading = 6, .batch = 1};
  const MatmulProblem example{.b = m, .a = m, .y = m};
  std::vector<MatmulProblem> different(1, example);
  const auto add = [&](auto change) {
    MatmulProblem p = example;
    change(p);
    different.push_back(p);
  };
  add([](MatmulProblem& p) { p.b.rows = 7; });
  add([](MatmulProblem& p) { p.a.columns = 7; });
  add([](MatmulProblem& p) { p.y.leading = 8; });
  add([](MatmulProblem& p) { p.b.transposed = true; });
  add([](MatmulProblem& p) { p.a.transposed = true; });
  add([](MatmulProblem& p) { p.a.alignment = 16; });
  add([](MatmulProblem& p) { p.a.dtype = DType::bf16; });
  add([](MatmulProblem& p) { p.y.dtype = DType::bf16; });
  add([](MatmulProblem& p) { p.a.batch = 2; });
  add([](MatmulProblem& p) { p.a.batch_stride = 2; });
  add([](MatmulProblem& p) { p.bias = true; });
  add([](MatmulProblem& p) { p.onto = true; });
  add([](MatmulProblem& p) { p.tf32 = true; });
  std::unordered_set<std::size_t> hashes;
  for (std::size_t i = 0; i < different.size(); ++i) {
    hashes.insert(MatmulProblemHash()(different[i]));
    for (std::size_t j = 0; j < different.size(); ++j) CHECK((different[i] == different[j]) == (i == j));
  }
  CHECK(hashes.size() == different.size());
}
