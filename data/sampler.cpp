#include "data/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/random_stream.h"
#include "engine/core/error.h"

namespace data {

namespace {

void shuffle(std::vector<int64_t>& values, engine::Generator random) {
  for (std::size_t i = values.size(); i-- > 1;) std::swap(values[i], values[random.below(i + 1)]);
}

std::vector<int64_t> range(int64_t size) {
  std::vector<int64_t> values(size);
  std::iota(values.begin(), values.end(), int64_t{0});
  return values;
}

}  // namespace

std::vector<int64_t> SequentialSampler::epoch_indices(int64_t) const { return range(size_); }

std::vector<int64_t> ShuffledSampler::epoch_indices(int64_t epoch) const {
  std::vector<int64_t> indices = range(size_);
  shuffle(indices, generator_for(seed_, Use::shuffle, epoch));
  return indices;
}

ClassSampler::ClassSampler(const Dataset& dataset, uint64_t seed) : size_(dataset.size()), seed_(seed) {
  engine::check(size_ > 0, "sampler", "{} has no images to draw from", dataset.name());
  members_.resize(dataset.num_classes());
  for (int64_t i = 0; i < size_; ++i) members_[dataset.label(i)].push_back(i);
  std::erase_if(members_, [](const auto& images) { return images.empty(); });
}

// The classes of an epoch come from a stream of its own, so the earlier epochs need only be counted to know where each
// class's list stands; the r-th shuffle of a list has its own stream too.
std::vector<int64_t> ClassBalancedSampler::epoch_indices(int64_t epoch) const {
  const std::size_t classes = members_.size();
  std::vector<int64_t> used(classes);
  for (int64_t e = 0; e < epoch; ++e) {
    engine::Generator random = generator_for(seed_, Use::classes, e);
    for (int64_t i = 0; i < size_; ++i) ++used[random.below(classes)];
  }
  std::vector<std::vector<int64_t>> lists(classes);
  std::vector<int64_t> rounds(classes, -1);
  std::vector<int64_t> indices(size_);
  engine::Generator random = generator_for(seed_, Use::classes, epoch);
  for (int64_t& index : indices) {
    const std::size_t c = random.below(classes);
    const int64_t length = static_cast<int64_t>(members_[c].size()), round = used[c] / length;
    if (rounds[c] != round) {
      lists[c] = members_[c];
      shuffle(lists[c], generator_for(seed_, Use::bucket, static_cast<int64_t>(c), round));
      rounds[c] = round;
    }
    index = lists[c][used[c]++ % length];
  }
  return indices;
}

std::vector<int64_t> SquareRootSampler::epoch_indices(int64_t epoch) const {
  std::vector<double> below;  // running sum of sqrt(n)
  double total = 0;
  for (const auto& images : members_) below.push_back(total += std::sqrt(static_cast<double>(images.size())));
  std::vector<int64_t> indices(size_);
  engine::Generator random = generator_for(seed_, Use::images, epoch);
  for (int64_t& index : indices) {
    const auto found = std::upper_bound(below.begin(), below.end(), random.uniform() * total);
    const auto& images = members_[std::min<std::size_t>(found - below.begin(), members_.size() - 1)];
    index = images[random.below(images.size())];
  }
  return indices;
}

}  // namespace data
