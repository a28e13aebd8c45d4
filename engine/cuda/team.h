// Threads that work on one row together: a warp, or a whole block.
#pragma once
#include "engine/cuda/device_code.h"

namespace engine::cuda {

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return b > a ? b : a;
  }
};

// The values of all lanes combined by f, which must not care for the order of its two arguments: then every lane
// holds the same bits.
template <class T, class F>
__device__ T combine_warp(T value, F f) {
#pragma unroll
  for (int away = 16; away > 0; away /= 2) value = f(value, __shfl_xor_sync(0xffffffffu, value, away));
  return value;
}

// The same over the block. All its threads must come here.
template <class T, class F>
__device__ T combine_block(T value, F f) {
  ENGINE_SHARED(T, of_warp, 32);
  value = combine_warp(value, f);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  T all = of_warp[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) all = f(all, static_cast<T>(of_warp[warp]));
  __syncthreads();  // the next call writes of_warp again
  return all;
}

// Teams over the rows of a matrix: row() is the first row of the calling thread's team, rows() how far to its next;
// member() is the thread's number in the team of size().
template <bool whole_block>
struct Team;

template <>
struct Team<false> {
  static constexpr int warps = 4, most_threads = 32 * warps;  // of a block
  static __device__ int64_t row() { return static_cast<int64_t>(blockIdx.x) * warps + threadIdx.x / 32; }
  static __device__ int64_t rows() { return static_cast<int64_t>(gridDim.x) * warps; }
  static __device__ int member() { return static_cast<int>(threadIdx.x % 32); }
  static __device__ int size() { return 32; }
  template <class T, class F>
  static __device__ T combine(T value, F f) {
    return combine_warp(value, f);
  }
};

template <>
struct Team<true> {
  static constexpr int most_threads = 1024;
  static __device__ int64_t row() { return blockIdx.x; }
  static __device__ int64_t rows() { return gridDim.x; }
  static __device__ int member() { return static_cast<int>(threadIdx.x); }
  static __device__ int size() { return static_cast<int>(blockDim.x); }
  template <class T, class F>
  static __device__ T combine(T value, F f) {
    return combine_block(value, f);
  }
};

}  // namespace engine::cuda
