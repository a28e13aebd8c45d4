#include <algorithm>
#include <cmath>
#include <set>

#include "data/sampler.h"
#include "tests/data/support.h"

namespace {

TEST_CASE("sampler: sequential") {
  const data::SequentialSampler sampler(4);
  CHECK(sampler.epoch_indices(0) == std::vector<int64_t>{0, 1, 2, 3});
  CHECK(sampler.epoch_indices(7) == sampler.epoch_indices(0));
}

TEST_CASE("sampler: shuffled shows every image once, each epoch in its own order") {
  const data::ShuffledSampler sampler(1000, 3);
  const auto first = sampler.epoch_indices(0), second = sampler.epoch_indices(1);
  CHECK(std::set<int64_t>(first.begin(), first.end()).size() == 1000);
  CHECK(first != second);
  CHECK(sampler.epoch_indices(0) == first);
  CHECK(data::ShuffledSampler(1000, 4).epoch_indices(0) != first);
  // Of a random permutation about one element stays in place.
  int fixed = 0;
  for (int64_t i = 0; i < 1000; ++i) fixed += first[i] == i;
  CHECK(fixed < 8);
}

TEST_CASE("sampler: class-balanced draws classes alike and cycles through each class") {
  const std::vector<int64_t> counts = {600, 0, 300, 3};
  const auto set = test::numbered_set(counts);
  const data::ClassBalancedSampler sampler(*set, 11);
  CHECK(sampler.size() == 903);
  std::vector<int64_t> times(903), all;
  std::vector<int> drawn(4);
  for (int64_t epoch = 0; epoch < 6; ++epoch) {
    const auto indices = sampler.epoch_indices(epoch);
    REQUIRE(indices.size() == 903);
    for (int64_t i : indices) {
      ++times[i];
      ++drawn[set->label(i)];
      all.push_back(i);
    }
  }
  const int expected = 6 * 903 / 3;  // 1806 each, standard deviation 35
  CHECK(drawn[1] == 0);
  for (const int c : {0, 2, 3}) CHECK(std::abs(drawn[c] - expected) < 175);
  // Positions go on over epochs: within a class no image is drawn twice more often than another before all had a turn.
  const auto spread = [&](int64_t begin, int64_t end) {
    const auto [low, high] = std::minmax_element(times.begin() + begin, times.begin() + end);
    return *high - *low;
  };
  CHECK(spread(0, 600) <= 1);
  CHECK(spread(600, 900) <= 1);
  CHECK(spread(900, 903) <= 1);
  // Each turn through the smallest class is a permutation, and they are not all the same one.
  std::vector<int64_t> tail;
  std::copy_if(all.begin(), all.end(), std::back_inserter(tail), [](int64_t i) { return i >= 900; });
  std::set<std::vector<int64_t>> orders;
  for (std::size_t i = 0; i + 3 <= tail.size(); i += 3) {
    std::vector<int64_t> turn(tail.begin() + i, tail.begin() + i + 3);
    orders.insert(turn);
    std::sort(turn.begin(), turn.end());
    CHECK(turn == std::vector<int64_t>{900, 901, 902});
  }
  CHECK(orders.size() == 6);
}

TEST_CASE("sampler: class-balanced gives the same epoch whatever was asked before") {
  const auto set = test::numbered_set({50, 20, 5});
  const data::ClassBalancedSampler one(*set, 5), other(*set, 5);
  const auto first = one.epoch_indices(0);
  const auto third = one.epoch_indices(2);
  CHECK(other.epoch_indices(2) == third);
  CHECK(other.epoch_indices(0) == first);
  CHECK(first != third);
}

TEST_CASE("sampler: square root") {
  const auto set = test::numbered_set({6400, 1600, 100});
  const data::SquareRootSampler sampler(*set, 2);
  std::vector<double> drawn(3);
  const auto indices = sampler.epoch_indices(0);
  REQUIRE(indices.size() == 8100);
  for (int64_t i : indices) ++drawn[set->label(i)];
  const double shares[] = {80.0 / 130, 40.0 / 130, 10.0 / 130};
  for (int c = 0; c < 3; ++c) {  // within five standard deviations
    CHECK(std::abs(drawn[c] - 8100 * shares[c]) < 5 * std::sqrt(8100 * shares[c] * (1 - shares[c])));
  }
  CHECK(std::set<int64_t>(indices.begin(), indices.end()).size() > 2500);
  CHECK(sampler.epoch_indices(1) != indices);
  CHECK(sampler.epoch_indices(0) == indices);
}

TEST_CASE("sampler: nothing to draw from") {
  CHECK_ERROR(data::ClassBalancedSampler(*test::numbered_set({0, 0}), 0), "numbered has no images");
}

}  // namespace
