#include "ride/losses/class_weights.h"

#include <doctest/doctest.h>

#include <numeric>

#include "ride/metrics/splits.h"
#include "tests/error_of.h"
#include "tests/golden.h"

using namespace ride;
using doctest::Approx;

namespace {

// Training images per class of CIFAR100-LT with imbalance 100: int(500 * 0.01^(i/99)).
ClassCounts cifar100_lt() {
  ClassCounts counts;
  for (int i = 0; i < 100; ++i) counts.push_back(static_cast<int64_t>(500 * std::pow(0.01, i / 99.0)));
  return counts;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("CIFAR100-LT: margins, weights and temperatures have the published values") {
  const ClassCounts counts = cifar100_lt();
  REQUIRE(std::accumulate(counts.begin(), counts.end(), int64_t{0}) == 10847);

  const std::vector<double> m = ldam_margins(counts);
  CHECK(m[0] == Approx(0.15811).epsilon(1e-4));  // .5 (5 / 500)^(1/4)
  CHECK(m[99] == Approx(0.5));

  const std::vector<double> w = effective_number_weights(counts);
  CHECK(w[0] == Approx(0.044876).epsilon(1e-4));
  CHECK(w[99] == Approx(4.378313).epsilon(1e-6));
  CHECK(mean(w) == Approx(1));

  const std::vector<double> t = diversity_temperatures(counts);
  CHECK(t[0] == Approx(1));
  CHECK(t[34] == Approx(0.844588).epsilon(1e-6));
  CHECK(t[69] == Approx(0.812568).epsilon(1e-6));
  CHECK(t[99] == Approx(0.806711).epsilon(1e-6));
  CHECK(mean(t) == Approx(0.847114).epsilon(1e-6));

  const std::vector<double> paper = diversity_temperatures(counts, {.variant = Variant::paper});
  CHECK(paper[0] == Approx(1));
  CHECK(paper[99] == Approx(0.772).epsilon(1e-3));
}

TEST_CASE("temperatures of eq. 3, by hand") {
  // C = 2, p = (3/4, 1/4), gamma = 1/2: psi = (1/2 * 2 * 3/4 + 1/2, 1/2 * 2 * 1/4 + 1/2) = (1.25, 0.75); eta = 2.
  const std::vector<double> reference = diversity_temperatures({3, 1}, {.eta = 2, .gamma = 0.5});
  CHECK(reference[0] == Approx(2));    // 2 * 1.25 / 1.25
  CHECK(reference[1] == Approx(1.2));  // 2 * 0.75 / 1.25
  const std::vector<double> paper = diversity_temperatures({3, 1}, {.variant = Variant::paper, .eta = 2, .gamma = 0.5});
  CHECK(paper[0] == Approx(2));  // 2 * 1.25 + 2 * (1 - 1.25)
  CHECK(paper[1] == Approx(1));  // 2 * 0.75 + 2 * (1 - 1.25)
}

TEST_CASE("class weights agree with PyTorch's arithmetic") {
  const Golden golden("ride_losses.safetensors");
  const ClassCounts counts = golden["counts"].to<int64_t>();
  CHECK(difference(ldam_margins(counts), golden["margins"]) < 1e-9);
  CHECK(difference(effective_number_weights(counts), golden["weights"]) < 1e-9);
  CHECK(difference(diversity_temperatures(counts), golden["temperatures.reference"]) < 1e-9);
  CHECK(difference(diversity_temperatures(counts, {.variant = Variant::paper}), golden["temperatures.paper"]) < 1e-9);
}

TEST_CASE("deferred weights hold after their epoch") {
  DeferredWeights weights({9, 1}, {.reweight_epoch = 3});
  for (const int epoch : {1, 2, 3}) {
    weights.set_epoch(epoch);
    CHECK_FALSE(weights.weights(engine::Tensor::scalar(0)).defined());
  }
  weights.set_epoch(4);
  const std::vector<double> w = weights.weights(engine::Tensor::scalar(0, engine::DType::f64)).to<double>();
  // (1 - b) / (1 - b^9) : (1 - b) / (1 - b^1) with b = .9999 is .111156 : 1; scaled to sum 2.
  CHECK(w[0] == Approx(2 * 0.111156 / 1.111156).epsilon(1e-5));
  CHECK(w[0] + w[1] == Approx(2));
  CHECK(DeferredWeights({9, 1}, {.reweight_epoch = 0}).active());
  DeferredWeights never({9, 1}, {});
  never.set_epoch(1000);
  CHECK_FALSE(never.active());
}

TEST_CASE("bad counts and options are refused by name") {
  CHECK(error_of([] {
          ldam_margins({5, 0, 3});
        }) == "[ldam_margins] class 1 has 0 training images: every class needs at least one");
  CHECK(error_of([] { effective_number_weights({5}, 1.0); }).find("beta is 1") != std::string::npos);
  // psi = 2 (.99) + ... : with gamma 5 the rare class gets 5 * 2 * .01 + 1 - 5 < 0.
  CHECK(error_of([] {
          diversity_temperatures({99, 1}, {.gamma = 5});
        }).find("class 1 gets temperature -") != std::string::npos);
}

TEST_CASE("splits of CIFAR100-LT under both conventions") {
  const auto sizes = [](Variant variant) {
    std::vector<std::size_t> sizes;
    for (const Split split : all_splits) sizes.push_back(classes_in(split, cifar100_lt(), variant).size());
    return sizes;
  };
  CHECK(sizes(Variant::reference) == std::vector<std::size_t>{35, 35, 30});
  CHECK(sizes(Variant::paper) == std::vector<std::size_t>{35, 34, 31});
  CHECK(split_of(101) == Split::many);
  CHECK(split_of(100) == Split::medium);
  CHECK(split_of(20) == Split::medium);
  CHECK(split_of(20, Variant::paper) == Split::few);
  CHECK(split_of(19) == Split::few);
}
