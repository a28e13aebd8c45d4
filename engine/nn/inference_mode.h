// InferenceMode: nothing is recorded, weights stay as they are, and layers use that. conv_bn folds the batch norm into
// the convolution, so that a block is two passes over its images; the cosine classifier keeps its normalised weights.
//
//   model.eval();
//   const InferenceMode inference;
//   for (...) model(images);
//
// What is derived from a weight is derived once while the guard lives, at the weight's first use. Change no weights
// under it: their first values would go on being used.
#pragma once
#include <any>
#include <mutex>
#include <unordered_map>

#include "engine/autograd/grad_mode.h"
#include "engine/core/tensor.h"

namespace engine {

// Of this thread, and of those that join it; one inside another stands alone while it lives.
class InferenceMode {
 public:
  class Join;

  InferenceMode();
  ~InferenceMode();
  InferenceMode(const InferenceMode&) = delete;
  InferenceMode& operator=(const InferenceMode&) = delete;

  static InferenceMode* current();  // null outside of all guards

  // make(), kept under `weight`, which it is derived from: the same object at every call with that weight. One kind of
  // T for a weight.
  template <class Make>
  auto& derived(const Tensor& weight, Make&& make) {
    using T = decltype(make());
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[weight.raw()];
    if (!entry.value.has_value()) entry = {weight.detach(), std::any(make())};
    return std::any_cast<T&>(entry.value);
  }

 private:
  struct Entry {
    Tensor weight;  // held, so that its address stays its own
    std::any value;
  };
  NoGradGuard no_grad_;
  std::mutex mutex_;
  std::unordered_map<const std::byte*, Entry> entries_;
  InferenceMode* outer_;
};

// Another thread's mode as this one's, while it lives.
class InferenceMode::Join {
 public:
  explicit Join(InferenceMode& mode);
  ~Join();
  Join(const Join&) = delete;
  Join& operator=(const Join&) = delete;

 private:
  NoGradGuard no_grad_;
  InferenceMode* outer_;
};

}  // namespace engine
