// The dialect that the kernels of this folder are written in: CUDA with a few names of its own, so that the same files
// also compile for an emulator on the host (tests/emulator has a header of this name that takes this one's place).
//
//   Global<T>             a pointer into device memory; the emulator knows its bounds
//   ENGINE_SHARED(T, a, n)       T a[n] in shared memory
//   ENGINE_DYNAMIC_SHARED(T, a)  the launch's dynamic shared memory as T a[]
//   load<N>(p, i), store(p, i, v)   N neighbours at once; i is a multiple of N, p aligned to N elements
//   claim(flag)                  sets *flag from 0 to 1; true for the one thread that did
#pragma once
#include <cuda_runtime.h>

#include "engine/core/tensor.h"

namespace engine::cuda {

template <class T>
using Global = T*;

#define ENGINE_SHARED(T, name, count) __shared__ T name[count]
#define ENGINE_DYNAMIC_SHARED(T, name)                        \
  extern __shared__ __align__(16) unsigned char name##_raw[]; \
  T* name = reinterpret_cast<T*>(name##_raw)

template <class T, int N>
struct alignas(N * sizeof(T)) Vec {
  T at[N];
};

template <int N, class T>
__device__ Vec<std::remove_const_t<T>, N> load(T* p, int64_t i) {
  return *reinterpret_cast<const Vec<std::remove_const_t<T>, N>*>(p + i);
}
template <int N, class T>
__device__ void store(T* p, int64_t i, const Vec<T, N>& value) {
  *reinterpret_cast<Vec<T, N>*>(p + i) = value;
}

__device__ inline bool claim(uint32_t* flag) { return atomicCAS(flag, 0u, 1u) == 0; }

// A tensor's memory as kernels take it; null for an undefined tensor. Throws when T is not its type.
template <class T>
Global<T> pointer(const Tensor& x) {
  if (!x.defined()) return nullptr;
  constexpr DType wanted = dtype_of<std::remove_const_t<T>>;
  check(x.dtype() == wanted, "cuda", "a kernel for {} was given {}", name(wanted), x.str());
  return reinterpret_cast<T*>(x.raw());
}

// `count` elements of device memory that belong to no tensor.
template <class T>
Global<T> memory_as(std::byte* memory, std::size_t) {
  return reinterpret_cast<T*>(memory);
}

}  // namespace engine::cuda
