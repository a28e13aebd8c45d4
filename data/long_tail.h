// Long-tailed subsets of balanced sets, drawn as LDAM-DRW (Cao et al., NeurIPS 2019) does for CIFAR; the CIFAR100-LT of
// the RIDE paper is its seed 0. Bit-exact with the published lists.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace data {

enum class Profile {
  exponential,  // class i has largest * imbalance^(-i / (classes - 1)) images, rounded down
  step,         // the first half of the classes has `largest`, the others largest / imbalance, rounded down
};

// "exponential" or "step"; throws for another name.
Profile profile_named(const std::string& name);

// Images per class, in label order; `imbalance` (>= 1) is the largest over the smallest count. Throws when the smallest
// would be below 1.
std::vector<int64_t> long_tail_counts(int64_t classes, int64_t largest, double imbalance,
                                      Profile profile = Profile::exponential);

// counts[c] random images of each class c: class after class, each in its shuffled order (numpy's legacy
// RandomState(seed).shuffle over the class's indices in rising order, one stream over all classes). Throws when a class
// has fewer images than asked.
std::vector<int64_t> draw_long_tail(const std::vector<int64_t>& labels, const std::vector<int64_t>& counts,
                                    uint32_t seed = 0);
std::vector<int64_t> draw_long_tail(const Dataset& dataset, const std::vector<int64_t>& counts, uint32_t seed = 0);

// A training set as an experiment asks for it.
struct LongTail {
  double imbalance = 1;  // largest over smallest class
  int64_t largest = 0;   // images of class 0; 0: as many as the largest class has
  Profile profile = Profile::exponential;
  uint32_t seed = 0;

  // Imbalance 1 alone asks for the set as it is; with `largest`, for that many random images of every class.
  bool draws() const { return imbalance > 1 || largest > 0; }
};

// The images that `tail` asks for, drawn by the rules above, or all of them in order where it does not draw.
std::vector<int64_t> draw(const Dataset& dataset, const LongTail& tail);

// 64-bit FNV-1a over the indices as little-endian 64-bit integers, 16 hex digits: tells two draws apart at a glance.
std::string draw_hash(const std::vector<int64_t>& indices);

}  // namespace data
