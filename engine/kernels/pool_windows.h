// Which pixels a pooling's window covers and which windows cover a pixel: one source for every back end.
#pragma once
#include <algorithm>

#include "engine/core/host_device.h"
#include "engine/core/shape.h"
#include "engine/kernels/pool.h"

namespace engine {

struct PoolRange {
  int begin, end;
};

// One axis of the image.
struct PoolAxis {
  int size, outputs;  // pixels, windows
  int kernel, stride, padding;

  ENGINE_HD PoolRange pixels_of(int window) const {
    const int first = window * stride - padding;
    return {std::max(first, 0), std::min(first + kernel, size)};
  }
  ENGINE_HD PoolRange windows_of(int pixel) const {
    const int last = pixel + padding;
    return {last < kernel ? 0 : (last - kernel) / stride + 1, std::min(last / stride + 1, outputs)};
  }
  // The pixel's place in the window, padding included.
  ENGINE_HD int place(int pixel, int window) const { return pixel - (window * stride - padding); }
};

struct PoolWindows {
  PoolAxis h, w;
  bool count_include_pad;

  // Of a pixel within a window, row by row.
  ENGINE_HD int64_t number(int row, int column, int p, int q) const {
    return static_cast<int64_t>(h.place(row, p)) * w.kernel + w.place(column, q);
  }
  // What the average's sum is divided by.
  ENGINE_HD int64_t divisor(int p, int q) const {
    if (count_include_pad) return static_cast<int64_t>(h.kernel) * w.kernel;
    const PoolRange rows = h.pixels_of(p), columns = w.pixels_of(q);
    return static_cast<int64_t>(rows.end - rows.begin) * (columns.end - columns.begin);
  }
};

// For an image (N, C, H, W) and what becomes of it.
inline PoolWindows pool_windows(const Shape& x, const Shape& y, const Pool2dOptions& o) {
  for (const int64_t size : {x[2], x[3], o.stride.h, o.stride.w})
    check(size < int64_t{1} << 29, "pool", "images of {} with stride ({}, {}) are too large: sizes must be below 2^29",
          x.str(), o.stride.h, o.stride.w);
  const auto axis = [](int64_t size, int64_t outputs, int64_t kernel, int64_t stride, int64_t padding) {
    return PoolAxis{static_cast<int>(size), static_cast<int>(outputs), static_cast<int>(kernel),
                    static_cast<int>(stride), static_cast<int>(padding)};
  };
  return {axis(x[2], y[2], o.kernel.h, o.stride.h, o.padding.h), axis(x[3], y[3], o.kernel.w, o.stride.w, o.padding.w),
          o.count_include_pad};
}

namespace functors {

// Whether x becomes the window's maximum: the first of equals wins, and NaN over all.
template <class T>
ENGINE_HD bool takes_over(T x, T best) {
  return x > best || x != x;
}

}  // namespace functors
}  // namespace engine
