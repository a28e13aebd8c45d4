#include "engine/core/random.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <vector>

#include "engine/core/error.h"

using namespace engine;

using Words = std::array<uint32_t, 4>;

// Known answers of philox4x32-10 from Random123's kat_vectors: counter (4 words), key (2 words) -> output.
TEST_CASE("Philox gives the published known answers") {
  CHECK(philox(0, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox(~uint64_t{0}, ~uint64_t{0}, ~uint64_t{0}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a generator walks through Philox's words and resumes at any position") {
  Generator random(5, 9);
  std::vector<uint32_t> words;
  for (int i = 0; i < 11; ++i) words.push_back(random.next());
  for (int i = 0; i < 11; ++i) CHECK(words[i] == philox(5, 9, i / 4)[i % 4]);
  for (uint64_t position = 0; position < 11; ++position) {
    Generator other;
    other.set_state({5, 9, position});
    CHECK(other.next() == words[position]);
    CHECK(other.state() == Generator::State{5, 9, position + 1});
  }
}

TEST_CASE("seeds and streams give different sequences; manual_seed restarts the default generator") {
  CHECK(Generator(1).next() != Generator(2).next());
  CHECK(Generator(1, 0).next() != Generator(1, 1).next());
  manual_seed(3);
  const uint32_t first = default_generator().next();
  default_generator().next();
  manual_seed(3);
  CHECK(default_generator().next() == first);
}

TEST_CASE("uniform numbers lie in [0, 1) with the moments of the uniform distribution") {
  CHECK(to_uniform(0) == 0.0f);
  CHECK(to_uniform(0xffffffffu) < 1.0f);
  Generator random(7);
  const int n = 200000;
  double sum = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double u = random.uniform();
    sum += u;
    squares += u * u;
  }
  // Five standard errors: sqrt(1/12/n) and sqrt(4/45/n).
  CHECK(std::abs(sum / n - 0.5) < 5 * std::sqrt(1.0 / 12 / n));
  CHECK(std::abs(squares / n - 1.0 / 3) < 5 * std::sqrt(4.0 / 45 / n));
  const float x = random.uniform(-3, -2);
  CHECK(x >= -3);
  CHECK(x < -2);
}

TEST_CASE("normal numbers have mean 0, variance 1 and light tails") {
  Generator random(8);
  const int n = 200000;
  double sum = 0, squares = 0;
  int beyond_two = 0;
  bool finite = true;
  for (int i = 0; i < n; ++i) {
    const double z = random.normal();
    finite = finite && std::isfinite(z);
    sum += z;
    squares += z * z;
    beyond_two += std::abs(z) > 2;
  }
  CHECK(finite);
  CHECK(std::abs(sum / n) < 5 / std::sqrt(n));
  CHECK(std::abs(squares / n - 1) < 5 * std::sqrt(2.0 / n));
  const double share = 0.0455003;  // P(|z| > 2)
  CHECK(std::abs(static_cast<double>(beyond_two) / n - share) < 5 * std::sqrt(share / n));
}

TEST_CASE("below is uniform over its range") {
  Generator random(9);
  std::map<uint64_t, int> counts;
  const int n = 70000;
  for (int i = 0; i < n; ++i) ++counts[random.below(7)];
  CHECK(counts.size() == 7);
  for (auto [value, count] : counts) {
    CAPTURE(value);
    CHECK(value < 7);
    CHECK(std::abs(count - n / 7) < 5 * std::sqrt(n / 7.0));
  }
  CHECK(random.below(1) == 0);
  CHECK_THROWS_AS(random.below(0), Error);
}
