#include "tests/ops/cases.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/autograd/backward.h"
#include "engine/core/random.h"
#include "engine/ops/shape_ops.h"

namespace engine::test {
namespace {

uint64_t seed_of(const std::string& name) {  // FNV-1a: a case keeps its numbers when others come and go
  uint64_t hash = 14695981039346656037u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

Tensor random_reals(const Shape& shape, double low, double high, Generator& random) {
  std::vector<float> values(shape.numel());
  for (float& value : values) value = random.uniform(static_cast<float>(low), static_cast<float>(high));
  return Tensor::from(values, shape);
}

Tensor transposed(const Tensor& x) {  // column-major
  if (x.rank() < 2) return x;
  std::vector<int> reversed;
  for (int axis = x.rank() - 1; axis >= 0; --axis) reversed.push_back(axis);
  return permute(contiguous(permute(x, reversed)), reversed);
}

Tensor strided(const Tensor& x) {
  Shape doubled = x.shape();
  for (int axis = 0; axis < x.rank(); ++axis) doubled[axis] = 2 * x.shape()[axis] + 1;
  Tensor view = Tensor::full(doubled, 1, {.dtype = x.dtype()});
  for (int axis = 0; axis < x.rank(); ++axis) view = slice(view, {.axis = axis, .start = 1, .step = 2});
  copy_into(x, view);
  return view;
}

Tensor channels_last(const Tensor& x) { return x.rank() == 4 ? contiguous(x, MemoryFormat::channels_last) : x; }

Tensor expanded(const Tensor& x) {
  if (x.rank() == 0 || x.shape()[0] < 2) return x;
  return expand_to(slice(x, {.axis = 0, .start = 0, .end = 1}), x.shape());
}

}  // namespace

const std::vector<Layout>& layouts() {
  static const std::vector<Layout> all = {
      {"transposed", transposed}, {"strided", strided}, {"channels_last", channels_last}, {"expanded", expanded}};
  return all;
}

Input index_below(int64_t n, const Shape& shape) {
  return {shape, 0, static_cast<double>(n), Input::Kind::index, false};
}
Input mask(const Shape& shape) { return {shape, 0, 1, Input::Kind::mask, false}; }
Input constant(const Shape& shape, double low, double high) { return {shape, low, high, Input::Kind::real, false}; }

const std::vector<Case>& all_cases() {
  static const std::vector<Case> all = [] {
    std::vector<Case> out;
    for (auto table : {elementwise_cases, shape_cases, reduce_cases, network_cases, loss_cases})
      for (Case& c : table()) out.push_back(std::move(c));
    return out;
  }();
  return all;
}

std::vector<Tensor> make_inputs(const Case& c, DType dtype) {
  std::vector<Tensor> out;
  for (std::size_t k = 0; k < c.inputs.size(); ++k) {
    const Input& input = c.inputs[k];
    Generator random(seed_of(c.name), k);
    if (input.kind == Input::Kind::real) {
      out.push_back(cast(random_reals(input.shape, input.low, input.high, random), dtype));
      continue;
    }
    std::vector<int64_t> values(input.shape.numel());
    const auto n = static_cast<uint64_t>(input.kind == Input::Kind::mask ? 2 : input.high);
    for (int64_t& value : values) value = static_cast<int64_t>(random.below(n));
    const Tensor x = Tensor::from(values, input.shape);
    out.push_back(input.kind == Input::Kind::mask ? cast(x, DType::boolean) : x);
  }
  return out;
}

Run run(const Case& c, std::vector<Tensor> inputs, const std::function<Tensor(const Tensor&)>& arrange) {
  for (std::size_t k = 0; k < inputs.size(); ++k)
    if (c.inputs[k].grad) inputs[k].set_requires_grad();
  Run result{c.f(inputs), {}};
  if (result.y.requires_grad()) {
    Generator random(20210503);
    Tensor dy = cast(random_reals(result.y.shape(), -1, 1, random), result.y.dtype());
    backward(result.y, (arrange ? arrange(dy) : dy).to(result.y.device()));
  }
  for (const Tensor& x : inputs) result.gradients.push_back(x.grad());
  return result;
}

double difference(const Tensor& a, const Tensor& b) {
  const double infinity = std::numeric_limits<double>::infinity();
  if (a.defined() != b.defined()) return infinity;
  if (!a.defined()) return 0;
  if (a.shape() != b.shape()) return infinity;
  const std::vector<double> left = a.to<double>(), right = b.to<double>();
  double worst = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i] == right[i] || (std::isnan(left[i]) && std::isnan(right[i]))) continue;
    const double d = std::abs(left[i] - right[i]) / std::max(1.0, std::abs(right[i]));
    if (!std::isfinite(d)) return infinity;
    worst = std::max(worst, d);
  }
  return worst;
}

double difference(const Run& a, const Run& b) {
  double worst = difference(a.y, b.y);
  for (std::size_t k = 0; k < a.gradients.size(); ++k)
    worst = std::max(worst, difference(a.gradients[k], b.gradients[k]));
  return worst;
}

}  // namespace engine::test
