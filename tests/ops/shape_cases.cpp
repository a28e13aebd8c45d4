#include "engine/ops/index.h"
#include "engine/ops/shape_ops.h"
#include "tests/ops/cases.h"

namespace engine::test {
namespace {

using Inputs = std::vector<Tensor>;

// Elements are moved, never changed; where several are added up, a handful of roundings of numbers below 10.
constexpr double exact = 0, few_sums = 2e-6;

std::vector<Case> view_cases() {
  const auto x0 = [](auto g) { return [g](const Inputs& in) { return g(in[0]); }; };
  return {
      {"reshape",
       {{{2, 3, 5}}},
       x0([](const Tensor& x) {
         return reshape(x, {5, -1});
       }),
       exact},
      {"reshape to scalar", {{{1, 1}}}, x0([](const Tensor& x) { return reshape(x, {}); }), exact},
      {"reshape empty",
       {{{0, 3}}},
       x0([](const Tensor& x) {
         return reshape(x, {3, 0});
       }),
       exact},
      {"flatten", {{{2, 3, 5, 7}}}, x0([](const Tensor& x) { return flatten(x, 1); }), exact},
      {"flatten empty batch", {{{0, 3, 5}}}, x0([](const Tensor& x) { return flatten(x, 1); }), exact},
      {"permute",
       {{{2, 3, 5, 7}}},
       x0([](const Tensor& x) {
         return permute(x, {3, 0, -2, 1});
       }),
       exact},
      {"transpose", {{{3, 5}}}, x0([](const Tensor& x) { return transpose(x, 0, 1); }), exact},
      {"transpose inner", {{{2, 3, 5}}}, x0([](const Tensor& x) { return transpose(x, -3, -2); }), exact},
      {"unsqueeze", {{{3, 5}}}, x0([](const Tensor& x) { return unsqueeze(x, -1); }), exact},
      {"squeeze", {{{3, 1, 5}}}, x0([](const Tensor& x) { return squeeze(x, 1); }), exact},
      {"expand_to",
       {{{3, 1}}},
       x0([](const Tensor& x) {
         return expand_to(x, {2, 3, 7});
       }),
       few_sums},
      {"expand_to from scalar",
       {{{}}},
       x0([](const Tensor& x) {
         return expand_to(x, {3, 5});
       }),
       few_sums},
      {"expand_to empty",
       {{{1, 3}}},
       x0([](const Tensor& x) {
         return expand_to(x, {0, 3});
       }),
       exact},
      {"slice",
       {{{7, 5}}},
       x0([](const Tensor& x) { return slice(x, {.axis = 0, .start = 1, .end = 6, .step = 2}); }),
       exact},
      {"slice to the end", {{{2, 17}}}, x0([](const Tensor& x) { return slice(x, {.axis = -1, .start = 3}); }), exact},
      {"slice to nothing", {{{3, 5}}}, x0([](const Tensor& x) { return slice(x, {.start = 2, .end = 2}); }), exact},
      {"slice channels",
       {{{2, 5, 3, 3}}},
       x0([](const Tensor& x) { return slice(x, {.axis = 1, .start = 1, .end = 4}); }),
       exact},
      {"select", {{{3, 5, 7}}}, x0([](const Tensor& x) { return select(x, 1, -2); }), exact},
      {"pad",
       {{{2, 3, 5, 7}}},
       x0([](const Tensor& x) { return pad(x, {.axis = 1, .before = 2, .after = 3}); }),
       exact},
      {"pad last", {{{3, 5}}}, x0([](const Tensor& x) { return pad(x, {.axis = -1, .after = 1}); }), exact},
      {"pad empty batch", {{{0, 5}}}, x0([](const Tensor& x) { return pad(x, {.axis = 1, .before = 1}); }), exact},
      {"contiguous of a view", {{{3, 5}}}, x0([](const Tensor& x) { return contiguous(transpose(x, 0, 1)); }), exact},
      {"contiguous channels_last",
       {{{2, 3, 5, 7}}},
       x0([](const Tensor& x) { return contiguous(x, MemoryFormat::channels_last); }),
       exact},
      {"clone", {{{33}}}, x0([](const Tensor& x) { return clone(x); }), exact},
      {"clone of a slice",
       {{{5, 7}}},
       x0([](const Tensor& x) { return clone(slice(x, {.axis = 1, .start = 2})); }),
       exact},
      {"cast to itself", {{{5}}}, x0([](const Tensor& x) { return cast(x, x.dtype()); }), exact},
      {"cast to f64", {{{3, 5}}}, x0([](const Tensor& x) { return cast(x, DType::f64); }), exact},
  };
}

std::vector<Case> joining_cases() {
  return {
      {"concat rows", {{{2, 3}}, {{1, 3}}, {{4, 3}}}, [](const Inputs& in) { return concat(in, 0); }, exact},
      {"concat channels", {{{2, 3, 5, 5}}, {{2, 4, 5, 5}}}, [](const Inputs& in) { return concat(in, 1); }, exact},
      {"concat with empty", {{{2, 3}}, {{2, 0}}}, [](const Inputs& in) { return concat(in, -1); }, exact},
      {"concat twice the same",
       {{{2, 3}}},
       [](const Inputs& in) {
         return concat({in[0], in[0]}, 1);
       },
       few_sums},
      {"concat of one", {{{17}}}, [](const Inputs& in) { return concat(in, 0); }, exact},
      {"stack first", {{{3, 5}}, {{3, 5}}, {{3, 5}}}, [](const Inputs& in) { return stack(in, 0); }, exact},
      {"stack last", {{{3, 5}}, {{3, 5}}}, [](const Inputs& in) { return stack(in, -1); }, exact},
      {"stack scalars", {{{}}, {{}}}, [](const Inputs& in) { return stack(in, 0); }, exact},
  };
}

std::vector<Case> index_cases() {
  const auto gather_along = [](int axis) { return [axis](const Inputs& in) { return gather(in[0], axis, in[1]); }; };
  const auto take = [](int axis) { return [axis](const Inputs& in) { return index_select(in[0], axis, in[1]); }; };
  const auto take_in_lanes = [](int axis) {
    return [axis](const Inputs& in) {
      const Tensor y = index_select(contiguous(in[0], MemoryFormat::batch_lanes), axis, in[1]);
      check(y.format() == MemoryFormat::batch_lanes, "index_select", "left the lanes: {}", y.str());
      return contiguous(y);
    };
  };
  // Written places must differ, or the result would depend on the order of writing: rows of a permutation.
  const auto scatter_write = [](const Inputs& in) {
    const Tensor index = Tensor::from<int64_t>({4, 0, 2, 1, 3, 0}, {2, 3}).to(in[0].device());
    return scatter(in[0], {.axis = 1}, index, in[1]);
  };
  const auto scatter_add = [](const Inputs& in) { return scatter(in[0], {.axis = 0, .add = true}, in[1], in[2]); };
  return {
      {"gather rows", {{{5, 3}}, index_below(5, {7, 3})}, gather_along(0), few_sums},
      {"gather columns", {{{5, 7}}, index_below(7, {5, 2})}, gather_along(-1), few_sums},
      {"gather fewer rows", {{{5, 7}}, index_below(7, {3, 4})}, gather_along(1), few_sums},
      {"gather 3d", {{{2, 5, 3}}, index_below(5, {2, 17, 3})}, gather_along(1), few_sums},
      {"gather nothing", {{{5, 3}}, index_below(5, {0, 3})}, gather_along(0), exact},
      {"gather empty batch", {{{0, 3}}, index_below(3, {0, 1})}, gather_along(1), exact},
      {"scatter", {{{2, 5}}, {{2, 3}}}, scatter_write, exact},
      {"scatter add", {{{3, 5}}, index_below(3, {7, 5}), {{7, 5}}}, scatter_add, few_sums},
      {"scatter add nothing", {{{3, 5}}, index_below(3, {0, 5}), {{0, 5}}}, scatter_add, exact},
      {"index_select rows", {{{5, 7}}, index_below(5, {9})}, take(0), few_sums},
      {"index_select columns", {{{3, 17}}, index_below(17, {33})}, take(1), few_sums},
      {"index_select middle", {{{2, 5, 3}}, index_below(5, {3})}, take(-2), few_sums},
      {"index_select channels", {{{2, 5, 3, 3}}, index_below(5, {4})}, take(1), few_sums},
      {"index_select images in lanes",
       {{{18, 2, 3, 1}}, index_below(18, {35})},
       take_in_lanes(0),
       few_sums,
       {.devices = false}},
      {"index_select channels in lanes",
       {{{3, 5, 2, 2}}, index_below(5, {4})},
       take_in_lanes(1),
       few_sums,
       {.devices = false}},
      {"index_select one axis", {{{7}}, index_below(7, {3})}, take(0), few_sums},
      {"index_select nothing", {{{5, 7}}, index_below(5, {0})}, take(0), exact},
      // 40,000 rows of an index onto 100: the parallel path, and 400 additions per place.
      {"index_select large",
       {{{100, 7}}, index_below(100, {40000})},
       take(0),
       1e-4,
       {.gradient = false, .layouts = false}},
      {"gather large",
       {{{3, 40000}}, index_below(40000, {3, 40000})},
       gather_along(1),
       few_sums,
       {.gradient = false, .layouts = false}},
  };
}

}  // namespace

std::vector<Case> shape_cases() {
  std::vector<Case> cases = view_cases();
  for (auto table : {joining_cases, index_cases})
    for (Case& c : table()) cases.push_back(std::move(c));
  return cases;
}

}  // namespace engine::test
