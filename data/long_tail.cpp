#include "data/long_tail.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <random>

#include "engine/core/error.h"

namespace data {

using engine::check;

Profile profile_named(const std::string& name) {
  check(name == "exponential" || name == "step", "long_tail", "no profile '{}', expected exponential or step", name);
  return name == "step" ? Profile::step : Profile::exponential;
}

std::vector<int64_t> long_tail_counts(int64_t classes, int64_t largest, double imbalance, Profile profile) {
  check(classes >= 1 && largest >= 1, "long_tail", "{} classes of up to {} images: expected at least one of each",
        classes, largest);
  check(imbalance >= 1 && std::isfinite(imbalance), "long_tail",
        "imbalance {} is out of range: it is the largest over the smallest class, so 1 or more", imbalance);
  std::vector<int64_t> counts(classes, largest);
  const double factor = 1.0 / imbalance;
  for (int64_t c = 0; c < classes; ++c) {
    const double share = profile == Profile::step ? (c < classes / 2 ? 1.0 : factor)
                         : classes == 1           ? 1.0
                                                  : std::pow(factor, c / (classes - 1.0));
    counts[c] = static_cast<int64_t>(largest * share);
  }
  check(counts.back() >= 1, "long_tail", "imbalance {} leaves no image in the last class: its largest has only {}",
        imbalance, largest);
  return counts;
}

namespace {

// Uniform in [0, most], as numpy's legacy generator draws it: the low bits of one 32-bit word, again while too large.
uint32_t bounded(std::mt19937& generator, uint32_t most) {
  const uint32_t mask = static_cast<uint32_t>((uint64_t{1} << std::bit_width(most)) - 1);
  while (true) {
    const uint32_t value = static_cast<uint32_t>(generator()) & mask;
    if (value <= most) return value;
  }
}

}  // namespace

std::vector<int64_t> draw_long_tail(const std::vector<int64_t>& labels, const std::vector<int64_t>& counts,
                                    uint32_t seed) {
  const int64_t classes = static_cast<int64_t>(counts.size());
  std::vector<std::vector<int64_t>> members(classes);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    check(labels[i] >= 0 && labels[i] < classes, "long_tail", "image {} has label {}, expected 0 to {}", i, labels[i],
          classes - 1);
    members[labels[i]].push_back(static_cast<int64_t>(i));
  }
  std::mt19937 generator(seed);
  std::vector<int64_t> drawn;
  for (int64_t c = 0; c < classes; ++c) {
    std::vector<int64_t>& pool = members[c];
    check(counts[c] >= 0 && counts[c] <= static_cast<int64_t>(pool.size()), "long_tail",
          "class {} has {} images, {} asked: lower the largest count", c, pool.size(), counts[c]);
    for (std::size_t i = pool.size(); i-- > 1;) std::swap(pool[i], pool[bounded(generator, static_cast<uint32_t>(i))]);
    drawn.insert(drawn.end(), pool.begin(), pool.begin() + counts[c]);
  }
  return drawn;
}

std::vector<int64_t> draw_long_tail(const Dataset& dataset, const std::vector<int64_t>& counts, uint32_t seed) {
  check(static_cast<int64_t>(counts.size()) == dataset.num_classes(), "long_tail",
        "{} counts given for the {} classes of {}", counts.size(), dataset.num_classes(), dataset.name());
  return draw_long_tail(all_labels(dataset), counts, seed);
}

std::vector<int64_t> draw(const Dataset& dataset, const LongTail& tail) {
  if (!tail.draws()) {
    std::vector<int64_t> all(dataset.size());
    std::iota(all.begin(), all.end(), 0);
    return all;
  }
  const std::vector<int64_t> counts = class_counts(dataset);
  const int64_t largest = tail.largest > 0 ? tail.largest : *std::max_element(counts.begin(), counts.end());
  return draw_long_tail(dataset, long_tail_counts(dataset.num_classes(), largest, tail.imbalance, tail.profile),
                        tail.seed);
}

std::string draw_hash(const std::vector<int64_t>& indices) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (int64_t index : indices) {
    for (int byte = 0; byte < 8; ++byte) {
      hash ^= static_cast<uint64_t>(index) >> (8 * byte) & 0xff;
      hash *= 0x100000001b3u;
    }
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace data
