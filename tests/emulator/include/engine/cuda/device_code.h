// The emulator's header in place of engine/cuda/device_code.h: pointers that know their bounds, shared arrays that know
// who touched them.
#pragma once
#include <cuda_runtime.h>

#include <algorithm>
#include <utility>

#include "engine/core/tensor.h"

namespace emulator {

// Device memory that kernels may touch: `data` lies in [begin, end).
template <class T>
class Pointer {
 public:
  Pointer() = default;
  Pointer(std::nullptr_t) {}
  Pointer(T* data, T* begin, T* end) : data_(data), begin_(begin), end_(end) {}
  operator Pointer<const T>() const requires(!std::is_const_v<T>) { return {data_, begin_, end_}; }
  T& operator[](int64_t i) const {
    check(i, 1);
    return data_[i];
  }
  T& operator*() const { return (*this)[0]; }
  Pointer operator+(int64_t n) const { return {data_ + n, begin_, end_}; }
  Pointer operator-(int64_t n) const { return {data_ - n, begin_, end_}; }
  Pointer& operator+=(int64_t n) {
    data_ += n;
    return *this;
  }
  explicit operator bool() const { return data_ != nullptr; }
  friend bool operator==(const Pointer& a, std::nullptr_t) { return a.data_ == nullptr; }
  T* unchecked() const { return data_; }
  int64_t elements() const { return end_ - data_; }  // from here on

  void check(int64_t i, int64_t count) const {
    if (!data_) fault("touches a null pointer");
    if (data_ + i < begin_ || data_ + i + count > end_)
      fault(fmt::format("touches element {} of a buffer of {}", data_ + i - begin_, end_ - begin_));
  }

 private:
  T *data_ = nullptr, *begin_ = nullptr, *end_ = nullptr;
};

// One element of a shared array.
template <class T>
class SharedElement {
 public:
  SharedElement(const SharedArray& array, std::size_t i) : array_(array), i_(i) {}
  operator T() const {
    note_read(array_, i_);
    return value();
  }
  SharedElement& operator=(T x) {
    note_write(array_, i_);
    value() = x;
    return *this;
  }
  SharedElement& operator=(const SharedElement& other) { return *this = static_cast<T>(other); }
  SharedElement& operator+=(T x) { return *this = static_cast<T>(*this) + x; }

 private:
  T& value() const { return reinterpret_cast<T*>(array_.data)[i_]; }
  SharedArray array_;
  std::size_t i_;
};

template <class T>
class SharedPointer {
 public:
  explicit SharedPointer(const SharedArray& array, std::size_t offset = 0) : array_(array), offset_(offset) {}
  SharedElement<T> operator[](int64_t i) const { return {array_, offset_ + static_cast<std::size_t>(i)}; }
  SharedPointer operator+(int64_t n) const { return SharedPointer(array_, offset_ + static_cast<std::size_t>(n)); }

 private:
  SharedArray array_;
  std::size_t offset_;
};

}  // namespace emulator

namespace engine::cuda {

template <class T>
using Global = emulator::Pointer<T>;

// The key of a shared array is the place that declares it, in each instance of a template its own.
#define ENGINE_SHARED(T, name, count) \
  static const char name##_key = 0;   \
  const ::emulator::SharedPointer<T> name(::emulator::shared_array(&name##_key, sizeof(T), count))
#define ENGINE_DYNAMIC_SHARED(T, name) const ::emulator::SharedPointer<T> name(::emulator::dynamic_shared(sizeof(T)))

template <class T, int N>
struct alignas(N * sizeof(T)) Vec {
  T at[N];
};

template <int N, class T>
Vec<std::remove_const_t<T>, N> load(emulator::Pointer<T> p, int64_t i) {
  p.check(i, N);
  if (reinterpret_cast<uintptr_t>(p.unchecked() + i) % (N * sizeof(T))) emulator::fault("a vector is not aligned");
  Vec<std::remove_const_t<T>, N> value;
  std::copy_n(p.unchecked() + i, N, value.at);
  return value;
}
template <int N, class T>
void store(emulator::Pointer<T> p, int64_t i, const Vec<T, N>& value) {
  p.check(i, N);
  if (reinterpret_cast<uintptr_t>(p.unchecked() + i) % (N * sizeof(T))) emulator::fault("a vector is not aligned");
  std::copy_n(value.at, N, p.unchecked() + i);
}

// Fibers change places only where they wait, so nothing comes between.
inline bool claim(uint32_t* flag) { return std::exchange(*flag, 1u) == 0; }

template <class T>
Global<T> memory_as(std::byte* memory, std::size_t count) {
  T* data = reinterpret_cast<T*>(memory);
  return {data, data, data + count};
}

// Bounded by the bytes the tensor's storage asked for, not by the block that the allocator gave.
template <class T>
Global<T> pointer(const Tensor& x) {
  if (!x.defined()) return nullptr;
  constexpr DType wanted = dtype_of<std::remove_const_t<T>>;
  check(x.dtype() == wanted, "cuda", "a kernel for {} was given {}", name(wanted), x.str());
  T* begin = reinterpret_cast<T*>(x.storage().data());
  return {reinterpret_cast<T*>(x.raw()), begin, begin + x.storage().bytes() / sizeof(T)};
}

}  // namespace engine::cuda
