// Images from bytes to floats: moved and normalised in one pass. Where a pixel comes from is worked out here for every
// back end and for data/, in whole numbers, so that all of them take the same pixels.
#pragma once
#include "engine/core/host_device.h"
#include "engine/core/tensor.h"
#include "engine/kernels/slot.h"

namespace engine {

// A pixel of an image, or none.
struct SourcePixel {
  int64_t row = 0, column = 0;
  bool inside = false;
};

// A crop, then a left-right flip, then a rotation, of one image. Positions and slopes are in 16.16 fixed point, as
// PIL's Image.rotate with nearest has them; who makes a motion computes sine and cosine, once, on the host.
struct PixelMotion {
  int64_t first_x = 1 << 15, first_y = 1 << 15;  // where the centre of the result's first pixel was before the rotation
  int64_t cosine = 1 << 16, sine = 0, minus_sine = 0;  // each rounded for itself
  int64_t flip = 0;                                    // 0 or 1
  int64_t crop_x = 0, crop_y = 0;                      // the window's offset from the image

  // A motion as numbers of a tensor.
  static constexpr int64_t numbers = 8;
  void write(int64_t* to) const {
    for (const int64_t number : {first_x, first_y, cosine, sine, minus_sine, flip, crop_x, crop_y}) *to++ = number;
  }
  // Motion n of a dense (N, 8).
  template <class Pointer>
  ENGINE_HD static PixelMotion read(Pointer from, int64_t n) {
    const Pointer p = from + n * numbers;
    return {p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
  }

  // Where the result's pixel at (row, column) comes from, in an image of the result's size.
  //   x' = cos a (x - cx) - sin a (y - cy) + cx,   y' = sin a (x - cx) + cos a (y - cy) + cy
  ENGINE_HD SourcePixel source(int64_t row, int64_t column, int64_t height, int64_t width) const {
    int64_t x = (first_x + row * minus_sine + column * cosine) >> 16;
    int64_t y = (first_y + row * cosine + column * sine) >> 16;
    const bool inside = x >= 0 && x < width && y >= 0 && y < height;
    if (flip) x = width - 1 - x;
    x += crop_x;
    y += crop_y;
    return {y, x, inside && x >= 0 && x < width && y >= 0 && y < height};
  }
};

struct ImageKernels {
  // y[n, c, h, w] = table[c][x[n, c, motions[n].source(h, w)]], table[c][0] for pixels from outside. x (N, C, H, W) u8
  // with any strides, motions (N, 8) i64 and table (C, 256) f32 row-major, y f32 and dense in any format.
  Slot<void(const Tensor& x, const Tensor& motions, const Tensor& table, const Tensor& y)> augment{"augment"};
};

}  // namespace engine
