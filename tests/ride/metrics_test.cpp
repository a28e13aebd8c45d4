#include "ride/metrics/meter.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "ride/metrics/json.h"
#include "ride/metrics/loss_meter.h"
#include "tests/error_of.h"

using namespace ride;
using doctest::Approx;
using engine::Tensor;

namespace {

Tensor labels(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

// Logits of samples whose classes are ranked as given, best first.
Tensor ranked(const std::vector<std::vector<int64_t>>& samples, int64_t classes) {
  Tensor z = Tensor::zeros({static_cast<int64_t>(samples.size()), classes});
  for (std::size_t i = 0; i < samples.size(); ++i)
    for (std::size_t rank = 0; rank < samples[i].size(); ++rank)
      z.data<float>()[static_cast<int64_t>(i) * classes + samples[i][rank]] =
          static_cast<float>(classes) - static_cast<float>(rank);
  return z;
}

}  // namespace

TEST_CASE("accuracies by hand, over two batches") {
  // Classes 0, 1 many, 2 medium, 3 has 20 images (medium or few), 4 few without test samples, 5 few.
  Meter meter({500, 101, 100, 20, 10, 5});
  meter.add(ranked({{0, 1, 2, 3, 4, 5}, {1, 0, 2, 3, 4, 5}, {1, 0, 2, 3, 4, 5}}, 6), labels({0, 0, 1}),
            labels({1, 3, 1}));
  meter.add(
      ranked({{5, 4, 3, 2, 1, 0}, {3, 0, 1, 2, 4, 5}, {0, 1, 2, 3, 4, 5}, {5, 0, 1, 2, 3, 4}, {0, 5, 1, 2, 3, 4}}, 6),
      labels({2, 3, 5, 5, 5}), labels({2, 2, 3, 1, 3}));
  const Metrics m = meter.result();
  CHECK(m.samples == 8);
  CHECK(*m.accuracy == Approx(4 / 8.0));  // samples 0, 2, 4, 6
  CHECK(*m.top5 == Approx(7 / 8.0));      // sample 5 ranks its label sixth
  CHECK(*m.per_class[0] == Approx(0.5));
  CHECK(*m.per_class[1] == Approx(1));
  CHECK(*m.per_class[2] == Approx(0));
  CHECK(*m.per_class[3] == Approx(1));
  CHECK_FALSE(m.per_class[4].has_value());
  CHECK(*m.per_class[5] == Approx(1 / 3.0));
  CHECK(*m.balanced == Approx((0.5 + 1 + 0 + 1 + 1 / 3.0) / 5));
  CHECK(m.samples_per_class == std::vector<int64_t>{2, 1, 1, 1, 0, 3});

  CHECK(*m.many.accuracy == Approx(0.75));  // mean over classes, not 2 of 3 samples
  CHECK(*m.medium.accuracy == Approx(0.5));
  CHECK(*m.few.accuracy == Approx(1 / 3.0));
  CHECK(*m.paper_medium.accuracy == Approx(0));
  CHECK(*m.paper_few.accuracy == Approx((1 + 1 / 3.0) / 2));
  CHECK(m.few.classes == 2);
  CHECK(m.paper_few.classes == 3);

  CHECK(*m.experts_used == Approx(16 / 8.0));
  CHECK(m.samples_by_experts == std::vector<int64_t>{3, 2, 3});
  CHECK(*m.many.experts_used == Approx(5 / 3.0));
  CHECK(*m.medium.experts_used == Approx(2));
  CHECK(*m.few.experts_used == Approx(7 / 3.0));
}

TEST_CASE("what has no samples has no value") {
  const Metrics none = Meter({500, 5}).result();
  CHECK_FALSE(none.accuracy.has_value());
  CHECK_FALSE(none.balanced.has_value());
  CHECK_FALSE(none.experts_used.has_value());

  Meter meter({500, 200, 300});  // no medium and no few classes
  meter.add(ranked({{0, 1, 2}}, 3), labels({0}));
  const Metrics m = meter.result();
  CHECK(*m.many.accuracy == Approx(1));
  CHECK_FALSE(m.few.accuracy.has_value());
  CHECK(m.samples_by_experts.empty());
  CHECK(*m.top5 == Approx(1));

  const nlohmann::ordered_json json = to_json(m);
  CHECK(json["splits"]["few"]["accuracy"].is_null());
  CHECK(json["splits"]["many"]["accuracy"] == 1.0);
  CHECK(json["splits"]["many"]["classes"] == 3);
  CHECK(json["per_class"] == nlohmann::ordered_json::parse("[1.0, null, null]"));
  CHECK_FALSE(json.contains("experts_used"));
  CHECK_FALSE(json["splits"]["many"].contains("experts_used"));
}

TEST_CASE("experts used are in the JSON when they were counted") {
  Meter meter({500, 5});
  meter.add(ranked({{0, 1}, {0, 1}}, 2), labels({0, 1}), labels({1, 2}));
  const nlohmann::ordered_json json = to_json(meter.result());
  CHECK(json["experts_used"] == 1.5);
  CHECK(json["samples_by_experts"] == nlohmann::ordered_json::parse("[1, 1]"));
  CHECK(json["splits"]["few"]["experts_used"] == 2.0);
  CHECK(json["splits_paper"]["medium"]["experts_used"].is_null());
}

TEST_CASE("ties go to the lowest class, NaN is never right") {
  Meter meter({1, 1, 1});
  meter.add(Tensor::zeros({2, 3}), labels({0, 1}));
  CHECK(*meter.result().per_class[0] == Approx(1));
  CHECK(*meter.result().per_class[1] == Approx(0));
  Meter broken({1, 1, 1});
  broken.add(Tensor::from(std::vector<float>{NAN, NAN, NAN, NAN, 2, 1}, {2, 3}), labels({0, 1}));
  CHECK(*broken.result().accuracy == Approx(0));
  CHECK(*broken.result().top5 == Approx(0.5));  // a NaN label is not even among the five
}

TEST_CASE("a bad batch is refused and changes nothing") {
  Meter meter({1, 1});
  CHECK(error_of([&] {
          meter.add(Tensor::zeros({2, 2}), labels({0, 2}));
        }) == "[meter] label 2 of sample 1 is not in [0, 2)");
  CHECK(error_of([&] {
          meter.add(Tensor::zeros({2, 3}), labels({0, 1}));
        }) == "[meter] logits must be (N, 2), got (2, 3)");
  CHECK(error_of([&] {
          meter.add(Tensor::zeros({1, 2}), labels({0}), labels({0}));
        }) == "[meter] sample 0 used 0 experts, expected at least 1");
  CHECK(meter.samples() == 0);
  meter.add(Tensor::zeros({1, 2}), labels({0}));
  CHECK(error_of([&] {
          meter.add(Tensor::zeros({1, 2}), labels({0}), labels({1}));
        }).find("every batch or with none") != std::string::npos);
  CHECK(meter.samples() == 1);
}

TEST_CASE("mean losses weigh batches by their samples") {
  const auto value = [](double individual, double diversity) {
    return LossValue{.total = Tensor::scalar(individual + diversity),
                     .parts = {{"individual", Tensor::scalar(individual)}, {"diversity", Tensor::scalar(diversity)}}};
  };
  LossMeter meter;
  CHECK(meter.mean() == 0);
  meter.add(value(4, -1), 30);
  meter.add(value(8, -3), 10);
  CHECK(meter.mean() == Approx((30 * 3 + 10 * 5) / 40.0));
  REQUIRE(meter.parts().size() == 2);
  CHECK(meter.parts()[0].first == "individual");
  CHECK(meter.parts()[0].second == Approx(5));
  CHECK(meter.parts()[1].second == Approx(-1.5));
}

TEST_CASE("a loss meter read back from its text goes on with the same bits") {
  const auto third = [](double value) {
    return LossValue{.total = Tensor::scalar(value / 3, engine::DType::f64),
                     .parts = {{"individual", Tensor::scalar(value / 7, engine::DType::f64)}}};
  };
  LossMeter whole;
  for (int i = 1; i <= 10; ++i) whole.add(third(i * 1e-3), 128);
  LossMeter half;
  for (int i = 1; i <= 5; ++i) half.add(third(i * 1e-3), 128);
  half = LossMeter::from_text(half.text());
  for (int i = 6; i <= 10; ++i) half.add(third(i * 1e-3), 128);
  CHECK(half.mean() == whole.mean());
  CHECK(half.parts() == whole.parts());
  CHECK(half.samples() == 1280);
  CHECK(LossMeter::from_text(LossMeter().text()).samples() == 0);
  for (const char* bad : {"", "loss 1 2", "loss 1 2\nindividual x 2\n", "loss 1 2\nindividual 1\n"})
    CHECK(error_of([&] { LossMeter::from_text(bad); }).find("is no list of sums") != std::string::npos);
}
