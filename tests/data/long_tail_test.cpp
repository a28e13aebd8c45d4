#include <fstream>
#include <numeric>

#include "data/cifar.h"
#include "data/idx.h"
#include "data/long_tail.h"
#include "tests/data/support.h"

namespace {

using data::Profile;

// CIFAR-100's class sizes without its files.
std::vector<int64_t> balanced_labels(int64_t classes, int64_t each) {
  std::vector<int64_t> labels;
  for (int64_t c = 0; c < classes; ++c) labels.insert(labels.end(), each, c);
  return labels;
}

TEST_CASE("long tail: the counts of CIFAR100-LT, imbalance 100") {
  const auto counts = data::long_tail_counts(100, 500, 100);
  CHECK(std::vector<int64_t>(counts.begin(), counts.begin() + 5) == std::vector<int64_t>{500, 477, 455, 434, 415});
  CHECK(std::vector<int64_t>(counts.end() - 5, counts.end()) == std::vector<int64_t>{6, 5, 5, 5, 5});
  CHECK(std::accumulate(counts.begin(), counts.end(), int64_t{0}) == 10847);
  CHECK(counts[69] == 20);
}

TEST_CASE("long tail: other profiles") {
  const auto ten = data::long_tail_counts(100, 500, 10);
  CHECK(std::accumulate(ten.begin(), ten.end(), int64_t{0}) == 19573);
  CHECK(data::long_tail_counts(4, 100, 50, Profile::step) == std::vector<int64_t>{100, 100, 2, 2});
  CHECK(data::long_tail_counts(5, 7, 2, Profile::step) == std::vector<int64_t>{7, 7, 3, 3, 3});
  CHECK(data::long_tail_counts(1, 9, 100) == std::vector<int64_t>{9});
  CHECK(data::long_tail_counts(3, 9, 1) == std::vector<int64_t>{9, 9, 9});
  const auto fashion = data::long_tail_counts(10, 1000, 100);
  CHECK(fashion == std::vector<int64_t>{1000, 599, 359, 215, 129, 77, 46, 27, 16, 10});
}

TEST_CASE("long tail: numpy's shuffle of the first class") {
  const auto drawn = data::draw_long_tail(balanced_labels(100, 500), data::long_tail_counts(100, 500, 100));
  CHECK(std::vector<int64_t>(drawn.begin(), drawn.begin() + 8) ==
        std::vector<int64_t>{90, 254, 283, 445, 461, 15, 316, 489});
}

TEST_CASE("long tail: mixed labels and another seed, drawn by numpy") {
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 900; ++i) labels.push_back((i * i + 3 * i / 7) % 7);
  std::ifstream file(test::golden("draw.txt"));
  const std::vector<int64_t> expected{std::istream_iterator<int64_t>(file), {}};
  REQUIRE(expected.size() == 255);
  CHECK(data::draw_long_tail(labels, {90, 60, 40, 27, 18, 12, 8}, 42) == expected);
}

TEST_CASE("long tail: the published lists of CIFAR100-LT, index by index") {
  const std::string folder = test::shared_data("cifar-100-binary");
  if (folder.empty()) return;
  const auto train = data::load_cifar100(folder, true);
  for (const int imbalance : {10, 50, 100}) {
    CAPTURE(imbalance);
    const auto drawn = data::draw_long_tail(*train, data::long_tail_counts(100, 500, imbalance));
    std::ifstream file(folder + "/cifar100_lt_imb" + std::to_string(imbalance) + "_seed0_index.txt");
    int64_t index = 0, label = 0;
    std::size_t line = 0, different = 0;
    for (; file >> index >> label; ++line) {
      different += line >= drawn.size() || drawn[line] != index || train->label(index) != label;
    }
    CHECK(line == drawn.size());
    CHECK(different == 0);
  }
}

TEST_CASE("long tail: Fashion-MNIST, 1000 down to 10") {
  if (!test::fs::exists(data::default_fashion_mnist_dir)) {
    MESSAGE("skipped: no " << data::default_fashion_mnist_dir);
    return;
  }
  const auto train = data::load_fashion_mnist(data::default_fashion_mnist_dir, true);
  const auto counts = data::long_tail_counts(10, 1000, 100);
  const data::Subset subset(train, data::draw_long_tail(*train, counts));
  CHECK(data::class_counts(subset) == counts);
}

TEST_CASE("long tail: imbalance or a largest count draws, neither takes the set as it is") {
  const auto set = test::numbered_set({4, 8, 6});
  const std::vector<int64_t> all = data::draw(*set, {});
  REQUIRE(all.size() == 18);
  for (int64_t i = 0; i < 18; ++i) CHECK(all[i] == i);
  const auto counts_of = [&](const data::LongTail& tail) {
    return data::class_counts(data::Subset(set, data::draw(*set, tail)));
  };
  CHECK(counts_of({.largest = 3}) == std::vector<int64_t>{3, 3, 3});
  CHECK(counts_of({.imbalance = 4, .largest = 4}) == std::vector<int64_t>{4, 2, 1});
  CHECK(counts_of({.imbalance = 2, .largest = 4, .profile = Profile::step}) == std::vector<int64_t>{4, 2, 2});
  CHECK_ERROR(counts_of({.imbalance = 2}), "class 0 has 4 images, 8 asked");  // the largest class decides
  CHECK(data::draw(*set, {.largest = 3, .seed = 7}) == data::draw_long_tail(*set, {3, 3, 3}, 7));
  CHECK(data::profile_named("step") == Profile::step);
  CHECK_ERROR(data::profile_named("linear"), "'linear'", "exponential or step");
}

TEST_CASE("long tail: the hash tells draws apart") {
  CHECK(data::draw_hash({}) == "cbf29ce484222325");
  // FNV-1a of the eight bytes 61 00 00 00 00 00 00 00, computed by hand from its definition in Python.
  CHECK(data::draw_hash({0x61}) == "6926124a7b1433c4");
  CHECK(data::draw_hash({1, 2}) != data::draw_hash({2, 1}));
}

TEST_CASE("long tail: bad requests") {
  CHECK_ERROR(data::long_tail_counts(10, 50, 0.5), "imbalance 0.5", "1 or more");
  CHECK_ERROR(data::long_tail_counts(10, 50, 100), "no image in the last class");
  CHECK_ERROR(data::long_tail_counts(0, 50, 10), "0 classes");
  CHECK_ERROR(data::draw_long_tail({0, 0, 1}, {2, 2}), "class 1 has 1 images, 2 asked");
  CHECK_ERROR(data::draw_long_tail({0, 3}, {1, 1}), "image 1 has label 3", "0 to 1");
  CHECK_ERROR(data::draw_long_tail(*test::numbered_set({2, 2}), {1}), "1 counts given for the 2 classes");
}

}  // namespace
