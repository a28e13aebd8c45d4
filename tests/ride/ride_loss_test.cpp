#include "ride/losses/ride_loss.h"

#include <doctest/doctest.h>

#include "engine/autograd/grad_check.h"
#include "engine/ops/elementwise.h"
#include "ride/losses/distillation.h"
#include "ride/losses/softened_kl.h"
#include "tests/error_of.h"
#include "tests/golden.h"

using namespace ride;
using doctest::Approx;
using engine::Tensor;

namespace {

RideLoss with_cross_entropy(const ClassCounts& counts, const RideLossOptions& options) {
  return RideLoss(std::make_unique<CrossEntropyLoss>(counts), counts, options);
}

RideLoss with_ldam_drw(const ClassCounts& counts, RideLossOptions options, int epoch) {
  options.reweight_epoch = 160;
  RideLoss loss(std::make_unique<LdamLoss>(counts, LdamOptions{.reweighting = {.reweight_epoch = 160}}), counts,
                options);
  loss.set_epoch(epoch);
  return loss;
}

// One sample of class 0 and two experts with p = (1/2, 1/2) and (9/10, 1/10); their mean logits have p = (3/4, 1/4).
ExpertLogits two_experts() {
  return {Tensor::from(std::vector<double>{0, 0}, {1, 2}),
          Tensor::from(std::vector<double>{2 * std::log(3.0), 0}, {1, 2})};
}
Tensor class_0() { return Tensor::from(std::vector<int64_t>{0}, {1}); }

double kl(double p, double q) { return p * std::log(p / q) + (1 - p) * std::log((1 - p) / (1 - q)); }
double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

double part(const LossValue& loss, const std::string& name) {
  for (const auto& [key, value] : loss.parts)
    if (key == name) return value.item();
  return NAN;
}

}  // namespace

TEST_CASE("RIDE loss by hand, temperature 1") {
  const double individual = std::log(2.0) + std::log(10 / 9.0);
  const LossValue reference = with_cross_entropy({1, 1}, {.diversity = -0.45})(two_experts(), class_0());
  CHECK(part(reference, "individual") == Approx(individual));
  CHECK(part(reference, "diversity") == Approx(-0.45 * (kl(0.75, 0.5) + kl(0.75, 0.9))));
  CHECK(reference.total.item() == Approx(individual - 0.45 * (kl(0.75, 0.5) + kl(0.75, 0.9))));

  const LossValue paper =
      with_cross_entropy({1, 1}, {.variant = Variant::paper, .diversity = -0.45})(two_experts(), class_0());
  CHECK(part(paper, "individual") == Approx(individual / 2));
  CHECK(paper.total.item() == Approx((individual - 0.45 * (kl(0.5, 0.9) + kl(0.9, 0.5))) / 2));  // n - 1 = 1
}

TEST_CASE("RIDE loss by hand, temperatures of eq. 3 after the epoch") {
  // counts (3, 1), gamma 1/2, eta 2: T = (2, 1.2) by the reference, mean 1.6; T = 2 for class 0, 1 for class 1 by the
  // paper. Dividing the logits (a, 0) by (2, 1.2) gives p_0 = sigmoid(a / 2), whatever divides the 0.
  const double a = 2 * std::log(3.0);
  RideLossOptions options{.diversity = -0.2, .reweight_epoch = 3, .eta = 2, .gamma = 0.5};
  const auto diversity = [&](int epoch, int64_t label) {
    RideLoss loss = with_cross_entropy({3, 1}, options);
    loss.set_epoch(epoch);
    return part(loss(two_experts(), Tensor::from(std::vector<int64_t>{label}, {1})), "diversity");
  };
  const double by_2 = kl(sigmoid(a / 4), 0.5) + kl(sigmoid(a / 4), sigmoid(a / 2));
  CHECK(diversity(3, 0) == Approx(-0.2 * 2 * 2 * by_2));  // eta for all classes
  CHECK(diversity(4, 0) == Approx(-0.2 * 1.6 * 1.6 * by_2));
  CHECK(diversity(4, 1) == Approx(-0.2 * 1.6 * 1.6 * by_2));  // labels play no part

  options.variant = Variant::paper;
  const auto pairs = [a](double t) { return kl(0.5, sigmoid(a / t)) + kl(sigmoid(a / t), 0.5); };
  CHECK(diversity(3, 1) == Approx(-0.2 / 2 * pairs(2)));
  CHECK(diversity(4, 0) == Approx(-0.2 / 2 * pairs(2)));
  CHECK(diversity(4, 1) == Approx(-0.2 / 2 * pairs(1)));  // the temperature of the sample's class
}

TEST_CASE("collaborative loss is its own switch, not the absence of diversity") {
  const double of_mean = -std::log(0.75), individual = std::log(2.0) + std::log(10 / 9.0);
  for (const Variant variant : {Variant::reference, Variant::paper}) {
    const double n = variant == Variant::reference ? 2 : 1;
    RideLossOptions options{.variant = variant, .individual = 0, .collaborative = 1, .diversity = 0};
    CHECK(with_cross_entropy({1, 1}, options)(two_experts(), class_0()).total.item() == Approx(n * of_mean));
    // The authors' code would fall back to the mean logits here; the individual loss stays individual.
    options = {.variant = variant, .individual = 1, .collaborative = 0, .diversity = 0};
    CHECK(with_cross_entropy({1, 1}, options)(two_experts(), class_0()).total.item() == Approx(n * individual / 2));
  }
}

TEST_CASE("a negative diversity factor rewards experts that disagree") {
  for (const Variant variant : {Variant::reference, Variant::paper}) {
    const auto diversity = [variant](double spread, double factor) {
      const ExpertLogits experts = {Tensor::from(std::vector<double>{1 + spread, 0, 0}, {1, 3}),
                                    Tensor::from(std::vector<double>{1 - spread, 0, 0}, {1, 3}),
                                    Tensor::from(std::vector<double>{1, 0, 0}, {1, 3})};
      return part(with_cross_entropy({1, 1, 1}, {.variant = variant, .diversity = factor})(experts, class_0()),
                  "diversity");
    };
    CHECK(diversity(0, -0.45) == Approx(0).epsilon(1e-12));
    CHECK(diversity(0.5, -0.45) < 0);
    CHECK(diversity(1, -0.45) < diversity(0.5, -0.45));
    CHECK(diversity(1, 0.45) > diversity(0.5, 0.45));
  }
}

TEST_CASE("descending the loss drives experts apart when the factor is negative") {
  // The reference variant stops the gradient at the mean, so that the sign of the gradient needs its own test.
  for (const Variant variant : {Variant::reference, Variant::paper}) {
    std::vector<Tensor> experts = {Tensor::from(std::vector<double>{0.1, 0}, {1, 2}).set_requires_grad(),
                                   Tensor::from(std::vector<double>{-0.1, 0}, {1, 2}).set_requires_grad()};
    const auto gradients = [&](double factor) {
      for (const Tensor& z : experts) z.set_grad({});
      with_cross_entropy({1, 1}, {.variant = variant, .diversity = factor})(experts, class_0()).total.backward();
      return experts[0].grad().to<double>()[0] - experts[1].grad().to<double>()[0];
    };
    // A step against the gradient changes z_0 - z_1 by minus this: less of it means further apart.
    CHECK(gradients(-0.45) < gradients(0));
    CHECK(gradients(0.45) > gradients(0));
  }
}

TEST_CASE("one expert: classification alone") {
  const ExpertLogits one = {two_experts()[1]};
  for (const Variant variant : {Variant::reference, Variant::paper}) {
    const LossValue loss = with_cross_entropy({1, 1}, {.variant = variant})(one, class_0());
    CHECK(loss.total.item() == Approx(std::log(10 / 9.0)));
    CHECK(loss.parts.size() == 1);
  }
}

TEST_CASE("RIDE and distillation agree with PyTorch, gradients too") {
  const Golden golden("ride_losses.safetensors");
  const ClassCounts counts = golden["counts"].to<int64_t>();
  const auto compare = [&](const std::string& name, const auto& loss) {
    CAPTURE(name);
    const ExpertLogits z = golden.leaves("expert_logits");
    const LossValue value = loss(z);
    value.total.backward();
    CHECK(difference(value.total, golden[name]) < 1e-9);
    for (std::size_t e = 0; e < z.size(); ++e)
      CHECK(difference(z[e].grad(), engine::select(golden[name + ".grad.expert_logits"], 0, static_cast<int64_t>(e))) <
            1e-9);
    double sum = 0;
    for (const auto& [part_name, part_value] : value.parts) sum += part_value.item();
    CHECK(sum == Approx(value.total.item()));
  };
  for (const Variant variant : {Variant::reference, Variant::paper}) {
    const std::string v(ride::name(variant));
    const auto ride = [&](RideLossOptions options, int epoch) {
      options.variant = variant;
      return [&, options, epoch](const ExpertLogits& z) {
        return with_ldam_drw(counts, options, epoch)(z, golden["labels"]);
      };
    };
    compare("ride." + v + ".early", ride({.diversity = -0.45}, 160));
    compare("ride." + v + ".late", ride({.diversity = -0.45}, 161));
    compare("collaborative." + v, ride({.individual = 0, .collaborative = 1, .diversity = 0}, 1));
    compare("distilled." + v, [&](const ExpertLogits& z) {
      return distill(ride({.diversity = -0.45}, 1)(z), z, golden["teacher_logits"], {.variant = variant});
    });
  }
}

TEST_CASE("RIDE's terms pass the gradient check") {
  const Golden golden("ride_losses.safetensors");
  const ClassCounts counts = golden["counts"].to<int64_t>();
  const auto check = [&](const auto& f) {
    const auto result = engine::grad_check(f, golden.leaves("expert_logits"));
    CHECK_MESSAGE(result.ok, result.message);
  };
  // All of the paper's terms; of the reference's the ones through which the whole gradient flows.
  check([&](const ExpertLogits& z) {
    return with_ldam_drw(counts, {.variant = Variant::paper, .collaborative = 0.5}, 161)(z, golden["labels"]).total;
  });
  check([&](const ExpertLogits& z) {
    return with_ldam_drw(counts, {.collaborative = 0.5, .diversity = 0}, 161)(z, golden["labels"]).total;
  });
  const Tensor temperature = Tensor::from(diversity_temperatures(counts), {static_cast<int64_t>(counts.size())});
  check([&](const ExpertLogits& z) { return softened_kl(golden["teacher_logits"], z[0] + z[1], temperature); });
}

TEST_CASE("no gradient flows into the mean or the teacher") {
  Tensor teacher = Tensor::from(std::vector<double>{1, 0}, {1, 2}).set_requires_grad();
  ExpertLogits z = two_experts();
  for (Tensor& logits : z) logits.set_requires_grad();
  const LossValue ride = with_cross_entropy({1, 1}, {.diversity = -0.45})(z, class_0());
  distill(ride, z, teacher).total.backward();
  CHECK_FALSE(teacher.grad().defined());
  CHECK(z[0].grad().defined());
}

TEST_CASE("distillation by hand") {
  // T = 2 halves the logits: teacher (4 ln 3, 0) -> p 9/10, mean (ln 3, 0) -> sigmoid(ln 3 / 2).
  const Tensor teacher = Tensor::from(std::vector<double>{4 * std::log(3.0), 0}, {1, 2});
  const LossValue ride = with_cross_entropy({1, 1}, {.diversity = 0})(two_experts(), class_0());
  const double base = ride.total.item(), t2 = 4;
  const LossValue reference = distill(ride, two_experts(), teacher, {.temperature = 2, .weight = 0.5});
  CHECK(reference.total.item() == Approx(2 * (base + 0.5 * t2 * kl(0.9, sigmoid(std::log(3.0) / 2)))));
  CHECK(part(reference, "individual") == Approx(2 * base));
  const LossValue paper =
      distill(ride, two_experts(), teacher, {.variant = Variant::paper, .temperature = 2, .weight = 0.5});
  CHECK(paper.total.item() == Approx(base + 0.5 * t2 * (kl(0.9, 0.5) + kl(0.9, 0.75)) / 2));
}

TEST_CASE("RIDE loss refuses what does not fit") {
  CHECK(error_of([] {
          with_cross_entropy({1, 1, 1}, {})(two_experts(), class_0());
        }) == "[ride_loss] logits have 2 classes, the class counts 3");
  CHECK(error_of([] { with_cross_entropy({1, 1}, {})({}, class_0()); }).starts_with("[ride_loss] no experts"));
  CHECK(error_of([] {
          with_cross_entropy({1, 1}, {})({two_experts()[0], Tensor::zeros({2, 2}, {.dtype = engine::DType::f64})},
                                         class_0());
        }) == "[ride_loss] logits of expert 1 are (2, 2), those of expert 0 (1, 2)");
  CHECK(error_of([] { with_cross_entropy({1, 1}, {.individual = 0}); }).find("both 0") != std::string::npos);
}
