#include "engine/core/random.h"
#include "engine/ops/elementwise.h"
#include "tests/ops/cases.h"

namespace engine::test {
namespace {

using Inputs = std::vector<Tensor>;

// A few roundings (2^-24 each) of numbers up to 10, and a vectorised exp or log of up to 2 ulp.
constexpr double few_ulps = 2e-6;

// No multiple of any vector width, empty, single, four axes; the large one takes the parallel path.
const std::vector<Shape> shapes = {{0}, {0, 3}, {1}, {3}, {5}, {7}, {17}, {33}, {3, 5}, {2, 3, 5, 7}};
const Shape large{3, 25001};

struct UnaryRow {
  const char* name;
  Tensor (*f)(const Tensor&);
  double low = -2, high = 2;
};

// Ranges keep log, sqrt and fractional powers off their singular points, where differences grow without bound.
const std::vector<UnaryRow> unary_rows = {
    {"relu", [](const Tensor& x) { return relu(x); }},
    {"sigmoid", [](const Tensor& x) { return sigmoid(x); }, -6, 6},
    {"tanh", [](const Tensor& x) { return tanh(x); }, -4, 4},
    {"exp", [](const Tensor& x) { return exp(x); }},
    {"log", [](const Tensor& x) { return log(x); }, 0.3, 3},
    {"sqrt", [](const Tensor& x) { return sqrt(x); }, 0.3, 3},
    {"abs", [](const Tensor& x) { return abs(x); }},
    {"softplus", [](const Tensor& x) { return softplus(x); }, -6, 6},
    {"pow 2", [](const Tensor& x) { return pow(x, 2); }},
    {"pow 3", [](const Tensor& x) { return pow(x, 3); }},
    {"pow -0.5", [](const Tensor& x) { return pow(x, -0.5); }, 0.5, 2},
    {"pow 0", [](const Tensor& x) { return pow(x, 0); }},
    {"clamp both", [](const Tensor& x) { return clamp(x, {.min = -0.5, .max = 0.7}); }},
    {"clamp below", [](const Tensor& x) { return clamp(x, {.min = -0.5}); }},
    {"affine", [](const Tensor& x) { return affine(x, {.scale = 3, .shift = -1}); }},
    {"x + 2", [](const Tensor& x) { return x + 2; }},
    {"2 + x", [](const Tensor& x) { return 2 + x; }},
    {"x - 2", [](const Tensor& x) { return x - 2; }},
    {"2 - x", [](const Tensor& x) { return 2 - x; }},
    {"2 * x", [](const Tensor& x) { return 2 * x; }},
    {"x / 3", [](const Tensor& x) { return x / 3; }},
    {"2 / x", [](const Tensor& x) { return 2 / x; }, 0.5, 2},
    {"-x", [](const Tensor& x) { return -x; }},
};

struct BinaryRow {
  const char* name;
  Tensor (*f)(const Tensor&, const Tensor&);
  double low = -2;  // of the second operand: a divisor keeps off zero
};
const std::vector<BinaryRow> binary_rows = {
    {"add", [](const Tensor& a, const Tensor& b) { return a + b; }},
    {"sub", [](const Tensor& a, const Tensor& b) { return a - b; }},
    {"mul", [](const Tensor& a, const Tensor& b) { return a * b; }},
    {"div", [](const Tensor& a, const Tensor& b) { return a / b; }, 0.5},
};

struct Broadcast {
  Shape a, b;
};
const std::vector<Broadcast> broadcasts = {{{}, {}},
                                           {{1}, {33}},
                                           {{}, {7}},
                                           {{17}, {17}},
                                           {{3, 5}, {5}},
                                           {{3, 1}, {1, 5}},
                                           {{0, 3}, {3}},
                                           {{1, 3}, {0, 3}},
                                           {{2, 3, 5, 7}, {3, 1, 1}},
                                           {{4, 1, 3}, {2, 1}},
                                           {{2, 3, 5, 7}, {2, 3, 5, 7}},
                                           {{5}, {2, 3, 1}}};

std::string label(const char* name, const Shape& shape) { return fmt::format("{} {}", name, shape); }

}  // namespace

std::vector<Case> elementwise_cases() {
  std::vector<Case> cases;
  for (const UnaryRow& row : unary_rows) {
    const auto f = [g = row.f](const Inputs& in) { return g(in[0]); };
    for (const Shape& shape : shapes)
      cases.push_back({label(row.name, shape), {{shape, row.low, row.high}}, f, few_ulps, {.halves = true}});
    cases.push_back(
        {label(row.name, large), {{large, row.low, row.high}}, f, few_ulps, {.gradient = false, .layouts = false}});
  }
  for (const BinaryRow& row : binary_rows) {
    const auto f = [g = row.f](const Inputs& in) { return g(in[0], in[1]); };
    for (const Broadcast& pair : broadcasts)
      cases.push_back({fmt::format("{} {} {}", row.name, pair.a, pair.b),
                       {{pair.a, -2, 2}, {pair.b, row.low, 2}},
                       f,
                       few_ulps,
                       {.halves = true}});
    cases.push_back({label(row.name, large),
                     {{large, -2, 2}, {large, row.low, 2}},
                     f,
                     few_ulps,
                     {.gradient = false, .layouts = false}});
    // A channel's bias: each of its gradients sums 4 x 900 terms, so rounding grows to sqrt(3600) of one.
    cases.push_back({fmt::format("{} channels", row.name),
                     {{{4, 17, 30, 30}, -2, 2}, {{17, 1, 1}, row.low, 2}},
                     f,
                     1e-4,
                     {.gradient = false}});
  }
  const auto select = [](const Inputs& in) { return where(in[0], in[1], in[2]); };
  cases.push_back({"where", {mask({3, 5}), {{3, 5}}, {{3, 5}}}, select, few_ulps, {.halves = true}});
  cases.push_back({"where broadcast", {mask({3, 1}), {{5}}, {{}}}, select, few_ulps, {.halves = true}});
  cases.push_back({"where 4d", {mask({2, 3, 5, 7}), {{2, 3, 5, 7}}, {{3, 1, 1}}}, select, few_ulps, {.halves = true}});
  cases.push_back({"where empty", {mask({0, 3}), {{0, 3}}, {{3}}}, select, few_ulps, {.halves = true}});
  // Draws from the default generator, so each evaluation starts it afresh.
  for (const Shape& shape : {Shape{0, 3}, Shape{33}, Shape{2, 3, 5, 7}})
    cases.push_back({label("dropout", shape),
                     {{shape}},
                     [](const Inputs& in) {
                       manual_seed(3);
                       return dropout(in[0], {.p = 0.3});
                     },
                     few_ulps,
                     {.halves = true}});
  cases.push_back({"sum_to", {{{4, 2, 3}}}, [](const Inputs& in) { return sum_to(in[0], {2, 1}); }, few_ulps});
  return cases;
}

}  // namespace engine::test
