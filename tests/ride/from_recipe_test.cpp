#include "ride/losses/from_recipe.h"

#include <doctest/doctest.h>

#include "tests/golden.h"

using namespace ride;
using doctest::Approx;
using engine::Tensor;

namespace {

struct Batch {
  const Golden golden{"ride_losses.safetensors"};
  const ClassCounts counts = golden["counts"].to<int64_t>();
  const ExpertLogits logits = golden.leaves("expert_logits");

  double value(const Recipe::Loss& recipe, int epoch) const {
    RideLoss loss = training_loss(recipe, counts);
    loss.set_epoch(epoch);
    return loss(logits, golden["labels"]).total.item();
  }
};

}  // namespace

TEST_CASE("the default recipe's loss is the authors'") {
  const Batch batch;
  CHECK(batch.value({}, 160) == Approx(batch.golden["ride.reference.early"].item()));
  CHECK(batch.value({}, 161) == Approx(batch.golden["ride.reference.late"].item()));
  CHECK(batch.value({.variant = "paper"}, 161) == Approx(batch.golden["ride.paper.late"].item()));
  CHECK(batch.value({.individual = false, .collaborative = true, .diversity = 0, .drw = false}, 161) ==
        Approx(batch.golden["collaborative.reference"].item()));
}

TEST_CASE("single losses are the sum over experts, with their own re-weighting") {
  const Batch batch;
  const Tensor& labels = batch.golden["labels"];
  const auto sum = [&](const ClassificationLoss& loss) {
    double sum = 0;
    for (const Tensor& z : batch.logits) sum += loss(z, labels).item();
    return sum;
  };
  CHECK(batch.value({.type = "ce", .drw = false}, 200) == Approx(sum(CrossEntropyLoss(batch.counts))));
  CHECK(batch.value({.type = "focal", .focal_gamma = 2, .drw = false}, 200) ==
        Approx(sum(FocalLoss(batch.counts, {.gamma = 2}))));
  CHECK(batch.value({.type = "ldam", .reweight_epoch = -1}, 200) == Approx(sum(LdamLoss(batch.counts))));
  CHECK(batch.value({.type = "ldam"}, 200) ==
        Approx(sum(LdamLoss(batch.counts, {.reweighting = {.reweight_epoch = 0}}))));
  CHECK(batch.value({.type = "ldam", .max_margin = 0.3, .ldam_scale = 10, .drw = false}, 1) ==
        Approx(sum(LdamLoss(batch.counts, {.max_margin = 0.3, .scale = 10}))));
}

TEST_CASE("unknown losses are recipe errors") {
  CHECK_THROWS_AS(training_loss({.type = "hinge"}, {1, 1}), RecipeError);
  CHECK_THROWS_AS(training_loss({.base = "hinge"}, {1, 1}), RecipeError);
  CHECK_THROWS_AS(training_loss({.variant = "own"}, {1, 1}), RecipeError);
}
