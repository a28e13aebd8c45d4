// y[i] = f(x0[i], x1[i], ...) over tensors of one shape, each with its own strides and type: dense tensors by vectors
// of 16 bytes, all others by their strides.
#pragma once
#include "engine/cuda/device_code.h"
#include "engine/cuda/launch.h"
#include "engine/kernels/strided.h"

namespace engine::cuda {

// A StridedLoop as a kernel takes it: where element i of the loop lies in each of N operands.
template <int N>
struct DeviceLoop {
  int64_t count = 0;
  int rank = 0;
  bool small = true;  // positions fit 32 bits
  uint32_t sizes[Shape::max_rank] = {};
  int64_t strides[N][Shape::max_rank] = {};

  struct Offsets {
    int64_t at[N];
  };
  ENGINE_HD Offsets offsets(int64_t i) const {
    return small ? offsets_of(static_cast<uint32_t>(i)) : offsets_of(static_cast<uint64_t>(i));
  }

 private:
  template <class Index>
  ENGINE_HD Offsets offsets_of(Index i) const {
    Offsets out{};
    for (int axis = rank - 1; axis > 0; --axis) {
      const Index size = sizes[axis], rest = i / size;
      const int64_t position = static_cast<int64_t>(i - rest * size);
      for (int n = 0; n < N; ++n) out.at[n] += position * strides[n][axis];
      i = rest;
    }
    for (int n = 0; n < N; ++n) out.at[n] += static_cast<int64_t>(i) * strides[n][0];
    return out;
  }
};

template <int N>
DeviceLoop<N> device_loop(const StridedLoop<N>& loop) {
  DeviceLoop<N> out;
  out.count = loop.shape.numel();
  out.rank = loop.shape.rank();
  out.small = out.count < int64_t{1} << 31;
  for (int axis = 0; axis < out.rank; ++axis) {
    // The outermost size is never divided by, so it alone may be larger.
    check(axis == 0 || loop.shape[axis] < int64_t{1} << 32, "cuda", "an axis of {} elements is too long",
          loop.shape[axis]);
    out.sizes[axis] = static_cast<uint32_t>(loop.shape[axis]);
    for (int n = 0; n < N; ++n) out.strides[n][axis] = loop.strides[n][axis];
  }
  return out;
}

// The first index of a thread in a loop over the grid, and how far it goes on from there.
__device__ inline int64_t grid_index() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ inline int64_t grid_step() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

template <class... T>
inline constexpr int vector_width = static_cast<int>(16 / std::max({sizeof(T)...}));

template <int W, class F, class R, class... T>
__global__ void map_dense(int64_t n, F f, Global<R> y, Global<const T>... x) {
  const int64_t chunks = n / W;
  for (int64_t c = grid_index(); c < chunks; c += grid_step()) {
    Vec<R, W> out;
    const auto apply = [&](const auto&... in) {
#pragma unroll
      for (int k = 0; k < W; ++k) out.at[k] = f(in.at[k]...);
    };
    apply(load<W>(x, c * W)...);
    store<W>(y, c * W, out);
  }
  for (int64_t i = chunks * W + grid_index(); i < n; i += grid_step()) y[i] = f(x[i]...);
}

template <int N, class F, class R, class... T, std::size_t... I>
__device__ void map_one(const typename DeviceLoop<N>::Offsets& o, F f, Global<R> y, std::index_sequence<I...>,
                        Global<const T>... x) {
  y[o.at[N - 1]] = f(x[o.at[I]]...);
}

template <int N, class F, class R, class... T>
__global__ void map_strided(DeviceLoop<N> loop, F f, Global<R> y, Global<const T>... x) {
  for (int64_t i = grid_index(); i < loop.count; i += grid_step())
    map_one<N, F, R, T...>(loop.offsets(i), f, y, std::make_index_sequence<N - 1>{}, x...);
}

// As cover(), with no more blocks than the device works on in a few rounds.
inline LaunchShape cover_device(const Context& c, int64_t n, int64_t per_thread = 1) {
  return cover(n, per_thread, int64_t{c.multiprocessors()} * 32);
}

inline bool aligned(const Tensor& x, int elements) {
  return reinterpret_cast<uintptr_t>(x.raw()) % (elements * size_of(x.dtype())) == 0;
}

// `inputs` have y's shape. R and T... are the element types of y and the inputs.
template <class R, class... T, class F, class... Tensors>
void map(const char* op, F f, const Tensor& y, const Tensors&... inputs) {
  static_assert(sizeof...(T) == sizeof...(Tensors));
  constexpr int N = sizeof...(T) + 1, W = vector_width<R, T...>;
  if (y.numel() == 0) return;
  Context& c = context(y.device().index);
  const StridedLoop<N> loop = plan_loop_over(inputs..., y);
  bool dense = loop.shape.rank() == 1 && aligned(y, W) && (aligned(inputs, W) && ...);
  for (int n = 0; n < N; ++n) dense = dense && loop.strides[n][0] == 1;
  if (dense)
    launch(op, c, cover_device(c, y.numel(), W), map_dense<W, F, R, T...>, y.numel(), f, pointer<R>(y),
           pointer<const T>(inputs)...);
  else
    launch(op, c, cover_device(c, y.numel()), map_strided<N, F, R, T...>, device_loop(loop), f, pointer<R>(y),
           pointer<const T>(inputs)...);
}

}  // namespace engine::cuda
