// Which images an epoch shows, in which order. A sampler has no state: every epoch follows from (seed, epoch), so a
// training that resumes at epoch 57 sees what an unbroken one would have seen.
#pragma once
#include <cstdint>
#include <vector>

#include "data/dataset.h"

namespace data {

class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual int64_t size() const = 0;                                     // images per epoch
  virtual std::vector<int64_t> epoch_indices(int64_t epoch) const = 0;  // epoch counts from 0
};

// 0, 1, ..., size - 1 in every epoch.
class SequentialSampler : public Sampler {
 public:
  explicit SequentialSampler(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  std::vector<int64_t> epoch_indices(int64_t epoch) const override;

 private:
  int64_t size_;
};

// Every image once per epoch, in random order.
class ShuffledSampler : public Sampler {
 public:
  ShuffledSampler(int64_t size, uint64_t seed) : size_(size), seed_(seed) {}
  int64_t size() const override { return size_; }
  std::vector<int64_t> epoch_indices(int64_t epoch) const override;

 private:
  int64_t size_;
  uint64_t seed_;
};

// The base of samplers that first draw a class, then one of its images; as many draws per epoch as the set has images.
class ClassSampler : public Sampler {
 public:
  ClassSampler(const Dataset& dataset, uint64_t seed);
  int64_t size() const override { return size_; }

 protected:
  int64_t size_ = 0;
  uint64_t seed_;
  std::vector<std::vector<int64_t>> members_;  // of the classes that have images
};

// A uniform class, then the next image of its shuffled list, which is shuffled anew each time it is used up; the
// positions in the lists go on from epoch to epoch (the authors' sampler for training the expert assignment).
class ClassBalancedSampler : public ClassSampler {
 public:
  using ClassSampler::ClassSampler;
  std::vector<int64_t> epoch_indices(int64_t epoch) const override;
};

// A class with probability proportional to the square root of its size, then a uniform image of it (Mahajan et al.,
// ECCV 2018; as in Kang et al., ICLR 2020).
class SquareRootSampler : public ClassSampler {
 public:
  using ClassSampler::ClassSampler;
  std::vector<int64_t> epoch_indices(int64_t epoch) const override;
};

}  // namespace data
