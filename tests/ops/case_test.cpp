// Every op of the case table: gradients, f32 against f64, views against contiguous inputs, 16-bit types against f32.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/autograd/grad_check.h"
#include "engine/core/parallel.h"
#include "engine/ops/shape_ops.h"
#include "tests/ops/cases.h"

using namespace engine;
using namespace engine::test;

namespace {

std::vector<Tensor> each(const std::vector<Tensor>& inputs, Tensor (*f)(const Tensor&)) {
  std::vector<Tensor> out;
  for (const Tensor& x : inputs) out.push_back(f(x).detach());
  return out;
}

// Small cases run on one thread: waking others thousands of times for a few elements each costs far more than it
// saves. The large ones take the parallel path.
struct ThreadsFor {
  explicit ThreadsFor(const Case& c) {
    if (c.uses.gradient) set_num_threads(1);
  }
  ~ThreadsFor() { set_num_threads(before); }
  int before = num_threads();
};

Tensor dense_copy(const Tensor& x) { return clone(contiguous(x)); }

}  // namespace

TEST_CASE("ops: gradients agree with central differences in f64") {
  for (const Case& c : all_cases()) {
    if (!c.uses.gradient) continue;
    const ThreadsFor threads(c);
    std::vector<Tensor> inputs = make_inputs(c, DType::f64);
    for (std::size_t k = 0; k < inputs.size(); ++k)
      if (c.inputs[k].grad) inputs[k].set_requires_grad();
    try {
      // 1e-5 of max(1, |gradient|): differences of step 1e-6 lose half of f64's 16 digits, and curvature adds 1e-12.
      const GradCheckResult result = grad_check(c.f, inputs);
      CHECK_MESSAGE(result.ok, c.name, ": ", result.message);
    } catch (const Error& error) {
      FAIL_CHECK(c.name << ": " << std::string(error.what()));
    }
  }
}

TEST_CASE("ops: f32 agrees with f64 within each case's tolerance") {
  for (const Case& c : all_cases()) {
    const ThreadsFor threads(c);
    try {
      const Run wide = run(c, make_inputs(c, DType::f64));
      const Run narrow = run(c, make_inputs(c, DType::f32));
      const double worst = difference(narrow, wide);
      CHECK_MESSAGE(worst <= c.tolerance, c.name, ": off by ", worst, ", allowed ", c.tolerance);
    } catch (const Error& error) {
      FAIL_CHECK(c.name << ": " << std::string(error.what()));
    }
  }
}

TEST_CASE("ops: views and other layouts give what contiguous inputs give") {
  for (const Case& c : all_cases()) {
    if (!c.uses.layouts) continue;
    const ThreadsFor threads(c);
    for (const Layout& layout : layouts()) {
      for (DType dtype : {DType::f32, DType::f64}) {
        if (dtype == DType::f64 && !c.uses.gradient) continue;  // large: the plain f64 kernels would take seconds
        try {
          // Inputs and the gradient coming in take the layout; a sum may be formed in another order. In f64 the plain
          // kernels differ by less than 1e-12. An expanded input's values are its own, so its dense copy is the
          // reference.
          const std::vector<Tensor> inputs = each(make_inputs(c, dtype), layout.arrange);
          const Run plain =
              run(c, each(inputs, dense_copy), [&](const Tensor& dy) { return dense_copy(layout.arrange(dy)); });
          const Run view = run(c, inputs, layout.arrange);
          const double worst = difference(view, plain), allowed = dtype == DType::f64 ? 1e-12 : c.tolerance;
          CHECK_MESSAGE(worst <= allowed, c.name, " ", layout.name, " ", name(dtype), ": off by ", worst, ", allowed ",
                        allowed);
        } catch (const Error& error) {
          FAIL_CHECK(c.name << " " << layout.name << ": " << std::string(error.what()));
        }
      }
    }
  }
}

TEST_CASE("ops: bf16 and f16 agree with f32 up to their rounding") {
  // An element-wise op computes in f32 and rounds once: at most 2^-8 (bf16) or 2^-11 (f16) of the value. A gradient
  // takes the rounded output or other rounded products up to three times more, each scaled by a factor up to 8 (a
  // dividend of 2 over the square of a divisor of 0.5).
  for (auto [dtype, rounding] : {std::pair{DType::bf16, 0x1p-8}, {DType::f16, 0x1p-11}}) {
    for (const Case& c : all_cases()) {
      if (!c.uses.halves) continue;
      const ThreadsFor threads(c);
      try {
        const std::vector<Tensor> inputs = make_inputs(c, dtype);
        std::vector<Tensor> wide;
        for (const Tensor& x : inputs) wide.push_back(x.dtype() == dtype ? cast(x, DType::f32) : x);
        const Run narrow = run(c, inputs);
        const Run exact = run(c, wide, [d = dtype](const Tensor& dy) { return cast(cast(dy, d), DType::f32); });
        CHECK_MESSAGE(narrow.y.dtype() == dtype, c.name, ": gives ", narrow.y.str());
        const double forward = difference(narrow.y, exact.y), both = difference(narrow, exact);
        CHECK_MESSAGE(forward <= rounding, c.name, " ", name(dtype), ": output off by ", forward, ", allowed ",
                      rounding);
        CHECK_MESSAGE(both <= 24 * rounding, c.name, " ", name(dtype), ": gradient off by ", both, ", allowed ",
                      24 * rounding);
      } catch (const Error& error) {
        FAIL_CHECK(c.name << " " << name(dtype) << ": " << std::string(error.what()));
      }
    }
  }
}
