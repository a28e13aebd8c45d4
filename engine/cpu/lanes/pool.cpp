#include "engine/cpu/lanes/pool.h"

#include <array>
#include <cstring>

#include "engine/core/parallel.h"
#include "engine/kernels/count_work.h"

namespace engine::cpu::lanes {
namespace {

constexpr int lanes = static_cast<int>(images_per_group);

// f(type) for the types that lanes hold.
template <class F>
void dispatch(const char* op, const Tensor& x, F&& f) {
  switch (x.dtype()) {
    case DType::f32: return f(TypeTag<float>{});
    case DType::bf16: return f(TypeTag<bfloat16>{});
    default: fail(op, "batch_lanes has kernels for f32 and bf16, not for {}: use contiguous()", x.str());
  }
}

// f(group, channel, images in the group), in parallel.
template <class F>
void each_channel(const Shape& shape, F&& f) {
  const int64_t groups = groups_of(shape)[0], channels = shape[1];
  const int64_t grain = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(lanes * shape[2] * shape[3], 1));
  parallel_for(groups * channels, grain, [&](int64_t i, int64_t end) {
    for (; i < end; ++i)
      f(i / channels, i % channels, std::min(images_per_group, shape[0] - i / channels * images_per_group));
  });
}

// One channel of one group.
template <class T>
T* plane(const Tensor& x, int64_t group, int64_t channel) {
  return x.data<T>() + (group * x.size(1) + channel) * x.size(2) * x.size(3) * lanes;
}

template <class T>
void zero_plane(const Tensor& x, int64_t group, int64_t channel) {
  std::memset(static_cast<void*>(plane<T>(x, group, channel)), 0,
              static_cast<std::size_t>(x.size(2) * x.size(3) * lanes) * sizeof(T));
}

// f(pixel of the large map, pixel of the small one), both as pointers to their sixteen lanes.
template <class T, class F>
void each_pixel(const Tensor& large, T* in_large, const Tensor& small, T* in_small, int64_t stride, F&& f) {
  for (int64_t p = 0; p < small.size(2); ++p)
    for (int64_t q = 0; q < small.size(3); ++q)
      f(in_large + (p * large.size(3) + q) * stride * lanes, in_small + (p * small.size(3) + q) * lanes);
}

}  // namespace

void global_average(const Tensor& x, const Tensor& y) {
  count_passed(x, y);
  const int64_t pixels = x.size(2) * x.size(3), channels = x.size(1);
  dispatch("global_avg_pool2d", x, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_channel(x.shape(), [&](int64_t group, int64_t channel, int64_t images) {
      const T* from = plane<T>(x, group, channel);
      std::array<float, lanes> sums{};
      for (int64_t i = 0; i < pixels; ++i)
        for (int k = 0; k < lanes; ++k) sums[k] += from[i * lanes + k];
      for (int64_t k = 0; k < images; ++k)
        y.data<T>()[(group * lanes + k) * channels + channel] = static_cast<T>(sums[k] / static_cast<float>(pixels));
    });
  });
}

void global_average_backward(const Tensor& dy, const Tensor& dx) {
  count_passed(dx, dy);
  const int64_t pixels = dx.size(2) * dx.size(3), channels = dx.size(1);
  dispatch("global_avg_pool2d backward", dx, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_channel(dx.shape(), [&](int64_t group, int64_t channel, int64_t images) {
      std::array<T, lanes> share{};
      for (int64_t k = 0; k < images; ++k)
        share[k] = static_cast<T>(dy.data<T>()[(group * lanes + k) * channels + channel] / static_cast<float>(pixels));
      T* to = plane<T>(dx, group, channel);
      for (int64_t i = 0; i < pixels; ++i) std::memcpy(static_cast<void*>(to + i * lanes), share.data(), sizeof(share));
    });
  });
}

void subsample(const Tensor& x, const SubsampleOptions& options, const Tensor& y) {
  count_passed(y, y);
  dispatch("subsample2d", x, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_channel(y.shape(), [&](int64_t group, int64_t channel, int64_t) {
      const int64_t source = channel - options.channels_before;
      if (source < 0 || source >= x.size(1)) return zero_plane<T>(y, group, channel);
      each_pixel(x, plane<T>(x, group, source), y, plane<T>(y, group, channel), options.stride,
                 [](const T* large, T* small) { std::memcpy(static_cast<void*>(small), large, lanes * sizeof(T)); });
    });
  });
}

void subsample_backward(const Tensor& dy, const SubsampleOptions& options, bool add, const Tensor& dx) {
  count_passed(dx, dy);
  dispatch("subsample2d backward", dx, [&](auto tag) {
    using T = typename decltype(tag)::type;
    each_channel(dx.shape(), [&](int64_t group, int64_t channel, int64_t) {
      T* to = plane<T>(dx, group, channel);
      auto* from = plane<T>(dy, group, channel + options.channels_before);
      if (add)
        return each_pixel(dx, to, dy, from, options.stride, [](T* large, const T* small) {
          for (int64_t i = 0; i < lanes; ++i)
            large[i] = static_cast<T>(static_cast<Compute<T>>(large[i]) + static_cast<Compute<T>>(small[i]));
        });
      if (options.stride != 1) zero_plane<T>(dx, group, channel);
      each_pixel(dx, to, dy, from, options.stride,
                 [](T* large, const T* small) { std::memcpy(static_cast<void*>(large), small, lanes * sizeof(T)); });
    });
  });
}

}  // namespace engine::cpu::lanes
