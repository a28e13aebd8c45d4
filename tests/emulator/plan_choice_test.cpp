// Which of several plans is taken, and which are left out.
#include "engine/cuda/plan_choice.h"

#include <doctest/doctest.h>

#include <vector>

#include "engine/core/error.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::cuda;

namespace {

// Takes `times[plan]`, or fails where that is negative.
int fastest_of(const std::vector<float>& times) {
  return fastest_plan(static_cast<int>(times.size()), [&](int plan) {
    check(times[plan] >= 0, "conv2d", "plan {} can't run", plan);
    return times[plan];
  });
}

}  // namespace

TEST_CASE("autotune: the fastest plan is taken, the earlier of two that are equal") {
  CHECK(fastest_of({3, 1, 2}) == 1);
  CHECK(fastest_of({2, 1, 1}) == 1);
  CHECK(fastest_of({5}) == 0);
}

TEST_CASE("autotune: a plan that can't run is left out, whichever it is") {
  CHECK(fastest_of({-1, 4, 3}) == 2);
  CHECK(fastest_of({3, -1, 4}) == 0);
  CHECK(fastest_of({-1, -1, 4}) == 2);
  CHECK(contains(error_of([] { fastest_of({-1, -1}); }), "[conv2d] plan 0 can't run"));
  CHECK(contains(error_of([] { fastest_of({}); }), "none to choose from"));
}
