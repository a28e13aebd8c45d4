// One entry of a kernel table: a function a back end may fill. Calling an empty one gives one uniform error, tensors on
// different devices another.
#pragma once
#include "engine/core/tensor.h"

namespace engine {

// Checks that the tensors of one call live on one device.
class OneDevice {
 public:
  explicit OneDevice(const char* op) : op_(op) {}
  void operator()(const Tensor& x) {
    if (!x.defined()) return;
    if (!first_)
      first_ = &x;
    else if (x.device() != first_->device()) [[unlikely]]
      fail(op_, "tensors live on {} and {}: move one with to(device)", name(first_->device()), name(x.device()));
  }
  // What holds tensors has a for_each_tensor(holder, f) beside its declaration.
  template <class Other>
  void operator()(const Other& other) {
    if constexpr (requires { for_each_tensor(other, *this); }) for_each_tensor(other, *this);
  }

 private:
  const char* op_;
  const Tensor* first_ = nullptr;
};

template <class Signature>
class Slot;

template <class Result, class... Args>
class Slot<Result(Args...)> {
 public:
  constexpr explicit Slot(const char* name) : name_(name) {}
  Slot& operator=(Result (*function)(Args...)) {
    function_ = function;
    return *this;
  }
  Result operator()(Args... args) const {
    if (!function_) [[unlikely]]
      fail(name_, "this device has no kernel for it yet: move the tensors to the cpu for this op");
    OneDevice same(name_);
    (same(args), ...);
    return function_(args...);
  }
  const char* name() const { return name_; }
  bool filled() const { return function_ != nullptr; }

 private:
  const char* name_;
  Result (*function_)(Args...) = nullptr;
};

}  // namespace engine
