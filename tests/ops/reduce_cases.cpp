#include "engine/ops/reduce.h"
#include "engine/ops/softmax.h"
#include "tests/ops/cases.h"

namespace engine::test {
namespace {

using Inputs = std::vector<Tensor>;

// Up to 600 terms below 1 are added: the error of one rounding times the root of their number, times the sum's size.
constexpr double sums = 1e-5;
// 75,000 terms: pairwise or blocked summation keeps the relative error near 1e-6; naive summation would miss this.
constexpr double large_sums = 2e-4;

struct Axes {
  Shape shape;
  ReduceOptions options;
};
const std::vector<Axes> axes_rows = {
    {{}, {}},
    {{1}, {}},
    {{33}, {}},
    {{33}, {.axes = {0}}},
    {{3, 5}, {.axes = {0}}},
    {{3, 5}, {.axes = {-1}}},
    {{17, 7}, {.axes = {1}, .keep = true}},
    {{7, 17}, {.axes = {0}, .keep = true}},
    {{2, 3, 5}, {.axes = {1}}},
    {{2, 3, 5}, {.axes = {2, 0}}},
    {{2, 3, 5, 7}, {.axes = {0, 2, 3}}},
    {{2, 3, 5, 7}, {.axes = {0, 2, 3}, .keep = true}},
    {{2, 3, 5, 7}, {.axes = {2, 3}}},
    {{2, 3, 5, 7}, {.axes = {1}}},
    {{2, 3, 5, 7}, {.keep = true}},
    {{0, 3}, {.axes = {1}}},
};

std::string label(const char* name, const Axes& row) {
  return fmt::format("{} {} over ({}){}", name, row.shape, fmt::join(row.options.axes, ", "),
                     row.options.keep ? " keep" : "");
}

template <class F>
void add_reduction(std::vector<Case>& cases, const char* name, F f) {
  for (const Axes& row : axes_rows)
    cases.push_back(
        {label(name, row), {{row.shape}}, [f, o = row.options](const Inputs& in) { return f(in[0], o); }, sums});
  for (const Axes& row : std::vector<Axes>{{{3, 25001}, {}},
                                           {{3, 25001}, {.axes = {1}}},
                                           {{25001, 3}, {.axes = {0}}},
                                           {{16, 17, 31, 31}, {.axes = {0, 2, 3}}}})
    cases.push_back({label(name, row),
                     {{row.shape}},
                     [f, o = row.options](const Inputs& in) { return f(in[0], o); },
                     large_sums,
                     {.gradient = false, .layouts = false}});
}

}  // namespace

std::vector<Case> reduce_cases() {
  std::vector<Case> cases;
  add_reduction(cases, "sum", [](const Tensor& x, const ReduceOptions& o) { return sum(x, o); });
  add_reduction(cases, "mean", [](const Tensor& x, const ReduceOptions& o) { return mean(x, o); });
  add_reduction(cases, "max", [](const Tensor& x, const ReduceOptions& o) { return max(x, o); });
  cases.push_back({"sum of an empty axis", {{{0, 3}}}, [](const Inputs& in) { return sum(in[0], {.axes = {0}}); }, 0});
  cases.push_back({"sum of nothing", {{{0}}}, [](const Inputs& in) { return sum(in[0]); }, 0});

  for (int64_t n : {1, 3, 5, 7, 17, 33}) {
    cases.push_back({fmt::format("topk of {}", n),
                     {{{5, n}}},
                     [k = (n + 1) / 2](const Inputs& in) { return topk(in[0], {.k = k}).values; },
                     0});
    cases.push_back({fmt::format("topk smallest of {}", n),
                     {{{n}}},
                     [](const Inputs& in) { return topk(in[0], {.k = 1, .largest = false}).values; },
                     0});
    cases.push_back(
        {fmt::format("sort of {}", n), {{{2, 3, n}}}, [](const Inputs& in) { return sort(in[0]).values; }, 0});
    cases.push_back({fmt::format("sort descending of {}", n),
                     {{{n}}},
                     [](const Inputs& in) { return sort(in[0], true).values; },
                     0});
  }
  cases.push_back({"sort empty batch", {{{0, 5}}}, [](const Inputs& in) { return sort(in[0]).values; }, 0});
  cases.push_back({"topk of none", {{{3, 5}}}, [](const Inputs& in) { return topk(in[0], {.k = 0}).values; }, 0});

  for (const Shape& shape :
       {Shape{0, 5}, Shape{1, 1}, Shape{1, 17}, Shape{3, 5}, Shape{7, 33}, Shape{33}, Shape{2, 3, 5, 7}}) {
    cases.push_back({fmt::format("softmax {}", shape),
                     {{shape, -5, 5}},
                     [](const Inputs& in) { return softmax(in[0], -1); },
                     sums});
    cases.push_back({fmt::format("log_softmax {}", shape),
                     {{shape, -5, 5}},
                     [](const Inputs& in) { return log_softmax(in[0], -1); },
                     sums});
  }
  cases.push_back({"softmax first axis", {{{7, 3}, -5, 5}}, [](const Inputs& in) { return softmax(in[0], 0); }, sums});
  cases.push_back(
      {"log_softmax channels", {{{2, 5, 3, 3}, -5, 5}}, [](const Inputs& in) { return log_softmax(in[0], 1); }, sums});
  cases.push_back({"softmax large",
                   {{{333, 1001}, -5, 5}},
                   [](const Inputs& in) { return softmax(in[0], 1); },
                   sums,
                   {.gradient = false, .layouts = false}});
  cases.push_back({"log_softmax large",
                   {{{333, 1001}, -5, 5}},
                   [](const Inputs& in) { return log_softmax(in[0], 1); },
                   1e-4,
                   {.gradient = false, .layouts = false}});
  return cases;
}

}  // namespace engine::test
