// How the pooling kernels go over the pixels of (N, C, H, W) tensors: one thread for an element, or for a vector of
// neighbouring channels, in the order of memory.
#pragma once
#include "engine/cuda/device_code.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/map.h"

namespace engine::cuda {

// Numbers the vectors of a tensor in the order in which they lie.
struct MapOrder {
  int64_t count = 0;
  uint32_t fastest = 1, middle = 1, slowest = 1;  // sizes: channels, width, height or width, height, channels
  bool channels_last = false;
  bool small = true;  // numbers fit 32 bits

  struct At {
    int64_t n;
    int c, h, w;  // c counts vectors
  };
  ENGINE_HD At at(int64_t i) const { return small ? split(static_cast<uint32_t>(i)) : split(static_cast<uint64_t>(i)); }

 private:
  template <class Index>
  ENGINE_HD At split(Index i) const {
    const Index j = i / fastest, k = j / middle, n = k / slowest;
    const int a = static_cast<int>(i - j * fastest), b = static_cast<int>(j - k * middle),
              c = static_cast<int>(k - n * slowest);
    return channels_last ? At{static_cast<int64_t>(n), a, c, b} : At{static_cast<int64_t>(n), c, b, a};
  }
};

// Where the vectors of a tensor begin, in elements.
struct MapStrides {
  int64_t n, c, h, w;
  ENGINE_HD int64_t operator()(int64_t image, int64_t channel, int64_t row, int64_t column) const {
    return image * n + channel * c + row * h + column * w;
  }
};

inline MapOrder map_order(const Tensor& x, int width) {
  MapOrder order;
  for (int axis = 1; axis < 4; ++axis)
    check(x.size(axis) < int64_t{1} << 31, "pool", "an axis of {} elements is too long", x.size(axis));
  const auto channels = static_cast<uint32_t>(x.size(1) / width), height = static_cast<uint32_t>(x.size(2)),
             columns = static_cast<uint32_t>(x.size(3));
  order.count = x.numel() / width;
  order.channels_last = x.strides()[1] < x.strides()[3];
  order.fastest = order.channels_last ? channels : columns;
  order.middle = order.channels_last ? columns : height;
  order.slowest = order.channels_last ? height : channels;
  order.small = order.count < int64_t{1} << 31;
  return order;
}

inline MapStrides map_strides(const Tensor& x, int width) {
  const Strides& s = x.strides();
  return {s[0], s[1] * width, s[2], s[3]};
}

// Whether vectors of `width` neighbouring channels can be read or written everywhere in x.
inline bool has_channel_vectors(const Tensor& x, int width) {
  bool fits = x.strides()[1] == 1 && x.size(1) % width == 0 && aligned(x, width);
  for (const int axis : {0, 2, 3}) fits = fits && (x.size(axis) == 1 || x.strides()[axis] % width == 0);
  return fits;
}

// Calls f(std::integral_constant<int, W>): the widest vectors of T that all tensors have.
template <class T, class F, class... Tensors>
void with_channel_vectors(F&& f, const Tensors&... tensors) {
  constexpr int W = vector_width<T>;
  if ((has_channel_vectors(tensors, W) && ...))
    f(std::integral_constant<int, W>{});
  else
    f(std::integral_constant<int, 1>{});
}

// A thread for each of n vectors, as far as the device has use for them.

}  // namespace engine::cuda
