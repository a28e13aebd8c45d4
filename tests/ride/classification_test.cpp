#include "ride/losses/classification.h"

#include <doctest/doctest.h>

#include "engine/autograd/grad_check.h"
#include "tests/error_of.h"
#include "tests/golden.h"

using namespace ride;
using doctest::Approx;
using engine::Tensor;

namespace {

// p = (1/2, 1/4, 1/4) and (1/5, 3/5, 1/5).
const std::vector<double> two_samples = {std::log(2.0), 0, 0, 0, std::log(3.0), 0};
Tensor logits() { return Tensor::from(two_samples, {2, 3}); }
Tensor labels() { return Tensor::from(std::vector<int64_t>{0, 2}, {2}); }

}  // namespace

TEST_CASE("cross-entropy, focal and LDAM by hand") {
  const double c0 = std::log(2.0), c1 = std::log(5.0);  // -log 1/2, -log 1/5
  const ClassCounts counts = {16, 4, 1};
  CHECK(CrossEntropyLoss(counts)(logits(), labels()).item() == Approx((c0 + c1) / 2));
  CHECK(FocalLoss(counts, {.gamma = 1})(logits(), labels()).item() == Approx((0.5 * c0 + 0.8 * c1) / 2));
  CHECK(FocalLoss(counts, {.gamma = 2})(logits(), labels()).item() == Approx((0.25 * c0 + 0.64 * c1) / 2));
  CHECK(FocalLoss(counts, {.gamma = 0})(logits(), labels()).item() == Approx((c0 + c1) / 2));

  // n^(-1/4) = 1/2, 1/sqrt 2, 1, so m = (.25, .3536, .5); s = 2: z_0 of sample 0 falls by .5, z_2 of sample 1 by 1.
  const double l0 = -std::log(2 * std::exp(-0.5) / (2 * std::exp(-0.5) + 2));
  const double l1 = -std::log(std::exp(-1.0) / (4 + std::exp(-1.0)));
  CHECK(LdamLoss(counts, {.scale = 2})(logits(), labels()).item() == Approx((l0 + l1) / 2));
}

TEST_CASE("deferred re-weighting: cross-entropy divides by the weights, focal by the batch") {
  const ClassCounts counts = {16, 4, 1};
  const std::vector<double> w = effective_number_weights(counts);
  const double c0 = std::log(2.0), c1 = std::log(5.0);
  CrossEntropyLoss ce(counts, {.reweighting = {.reweight_epoch = 5}});
  FocalLoss focal(counts, {.gamma = 1, .reweighting = {.reweight_epoch = 5}});
  ce.set_epoch(5);
  CHECK(ce(logits(), labels()).item() == Approx((c0 + c1) / 2));
  ce.set_epoch(6);
  focal.set_epoch(6);
  CHECK(ce(logits(), labels()).item() == Approx((w[0] * c0 + w[2] * c1) / (w[0] + w[2])));
  // e^-(w c) = p^w
  const double f0 = (1 - std::pow(0.5, w[0])) * w[0] * c0, f1 = (1 - std::pow(0.2, w[2])) * w[2] * c1;
  CHECK(focal(logits(), labels()).item() == Approx((f0 + f1) / 2));
}

TEST_CASE("label smoothing") {
  // .8 (-log p_y) + .2 mean_c (-log p_c)
  const double l0 = 0.8 * std::log(2.0) + 0.2 * (std::log(2.0) + 2 * std::log(4.0)) / 3;
  const double l1 = 0.8 * std::log(5.0) + 0.2 * (2 * std::log(5.0) - std::log(0.6)) / 3;
  CHECK(CrossEntropyLoss({1, 1, 1}, {.label_smoothing = 0.2})(logits(), labels()).item() == Approx((l0 + l1) / 2));
}

TEST_CASE("classification losses agree with PyTorch, gradients too") {
  const Golden golden("ride_losses.safetensors");
  const ClassCounts counts = golden["counts"].to<int64_t>();
  const DeferredWeights::Options from_start{.reweight_epoch = 0};
  const auto compare = [&](const std::string& name, const ClassificationLoss& loss) {
    CAPTURE(name);
    const Tensor x = golden.leaves("expert_logits")[0];
    const Tensor value = loss(x, golden["labels"]);
    value.backward();
    CHECK(difference(value, golden[name]) < 1e-9);
    CHECK(difference(x.grad(), golden[name + ".grad.logits"]) < 1e-9);
  };
  compare("ce", CrossEntropyLoss(counts));
  compare("ce_drw", CrossEntropyLoss(counts, {.reweighting = from_start}));
  compare("focal", FocalLoss(counts, {.gamma = 1}));
  compare("focal_2_drw", FocalLoss(counts, {.gamma = 2, .reweighting = from_start}));
  compare("ldam", LdamLoss(counts));
  compare("ldam_drw", LdamLoss(counts, {.reweighting = from_start}));
}

TEST_CASE("classification losses pass the gradient check") {
  const ClassCounts counts = {16, 4, 1};
  const DeferredWeights::Options from_start{.reweight_epoch = 0};
  const auto check = [](const ClassificationLoss& loss) {
    const auto result = engine::grad_check([&](const std::vector<Tensor>& x) { return loss(x[0], labels()); },
                                           {logits().set_requires_grad()});
    CHECK_MESSAGE(result.ok, result.message);
  };
  check(CrossEntropyLoss(counts, {.label_smoothing = 0.1, .reweighting = from_start}));
  check(FocalLoss(counts, {.gamma = 1, .reweighting = from_start}));
  check(FocalLoss(counts, {.gamma = 0.5}));
  check(LdamLoss(counts, {.scale = 3, .reweighting = from_start}));
}

TEST_CASE("focal loss of a certain prediction has a finite gradient") {
  Tensor x = Tensor::from(std::vector<float>{200, 0}, {1, 2}).set_requires_grad();
  const FocalLoss loss({1, 1}, {.gamma = 0.5});
  loss(x, Tensor::from(std::vector<int64_t>{0}, {1})).backward();
  for (const float g : x.grad().to<float>()) CHECK(std::isfinite(g));
}

TEST_CASE("classification losses refuse other class counts") {
  CHECK(error_of([] { LdamLoss({1, 1})(logits(), labels()); }) == "[ldam] logits must be (N, 2), got (2, 3)");
  CHECK(error_of([] { FocalLoss({1}, {.gamma = -1}); }) == "[focal] gamma is -1, expected >= 0");
}
