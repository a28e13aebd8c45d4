// One entry of a kernel table: a function a back end may fill. Calling an empty one gives one uniform error.
#pragma once
#include "engine/core/error.h"

namespace engine {

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
    return function_(args...);
  }
  const char* name() const { return name_; }
  bool filled() const { return function_ != nullptr; }

 private:
  const char* name_;
  Result (*function_)(Args...) = nullptr;
};

}  // namespace engine
