// What there is one of for each device.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

namespace engine::cuda {

// The T of cuda:`device`, made as T(device) at the first call. Never destroyed: tensors may outlive static destruction,
// and the runtime is gone by then.
template <class T>
T& per_device(int device) {
  static std::mutex mutex;
  static auto* all = new std::vector<std::unique_ptr<T>>;
  const std::lock_guard lock(mutex);
  const auto at = static_cast<std::size_t>(device);
  if (all->size() <= at) all->resize(at + 1);
  if (!(*all)[at]) (*all)[at] = std::make_unique<T>(device);
  return *(*all)[at];
}

}  // namespace engine::cuda
