#include "apps/common/step_results.h"

#include <doctest/doctest.h>

#include <limits>

using namespace apps;
using engine::Tensor;

TEST_CASE("step results: read together, they count as those of one step after the other") {
  StepResults results(engine::Device{});
  results.add(Tensor::from<float>({4.0F, 3.0F, 1.0F, 2.0F}, {4}), {"individual", "diversity"}, 8);
  results.add(Tensor::from<float>({6.0F, 3.0F}, {2}), {}, 4);  // without parts
  TrainingState state;
  CHECK_FALSE(results.read_into(state));
  CHECK(results.empty());
  CHECK(state.step == 2);
  CHECK(state.right == 5);
  CHECK(state.accuracy() == 5.0 / 12);
  CHECK(state.losses.mean() == doctest::Approx((8 * 4.0 + 4 * 6.0) / 12));
  CHECK(state.losses.parts() == std::vector<std::pair<std::string, double>>{{"individual", 3}, {"diversity", 1}});
}

TEST_CASE("step results: a loss that is not finite ends them") {
  StepResults results(engine::Device{});
  for (const float loss : {1.0F, std::numeric_limits<float>::infinity(), 2.0F})
    results.add(Tensor::from<float>({loss, 4.0F}, {2}), {}, 8);
  TrainingState state;
  CHECK(results.read_into(state) == std::numeric_limits<double>::infinity());
  CHECK(state.step == 1);
  CHECK(state.right == 4);
  CHECK(results.empty());
  CHECK_FALSE(results.read_into(state));
}
