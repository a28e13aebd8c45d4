// The transforms of Winograd's F(4x4, 3x3) in one dimension, lane by lane, with the points 0, 1, -1, 2, -2 and
// infinity; README.md explains them. Applied to the columns and then to the rows they are those of a tile. Included
// only by sources that are compiled once per instruction set.
#pragma once
#include "engine/cpu/lanes/vec.h"

namespace engine::cpu::lanes::RIDE_ISA {

// B^T d: six values to six.
RIDE_INLINE void to_points(const V (&d)[6], V (&o)[6]) {
  const V a = d[4] - 4 * d[2], b = d[3] - 4 * d[1], c = d[4] - d[2], e = 2 * (d[3] - d[1]);
  o[0] = 4 * d[0] + (d[4] - 5 * d[2]);
  o[1] = a + b;
  o[2] = a - b;
  o[3] = c + e;
  o[4] = c - e;
  o[5] = 4 * d[1] + (d[5] - 5 * d[3]);
}

// A^T m: six products to four outputs.
RIDE_INLINE void from_points(const V (&m)[6], V (&o)[4]) {
  const V a = m[1] + m[2], b = m[1] - m[2], c = m[3] + m[4], d = m[3] - m[4];
  o[0] = m[0] + a + c;
  o[1] = 2 * d + b;
  o[2] = 4 * c + a;
  o[3] = 8 * d + (b + m[5]);
}

// A^T M, down the columns of a tile's 36 products, which lie `step` floats apart: the rows are left to do.
RIDE_INLINE void columns_from_points(const float* m, int64_t step, V (&half)[4][6]) {
  RIDE_UNROLL for (int j = 0; j < 6; ++j) {
    V d[6], o[4];
    RIDE_UNROLL for (int i = 0; i < 6; ++i) d[i] = load(m + (6 * i + j) * step);
    from_points(d, o);
    RIDE_UNROLL for (int i = 0; i < 4; ++i) half[i][j] = o[i];
  }
}

// A d: a tile's four values to six points.
RIDE_INLINE void tile_to_points(const V (&d)[4], V (&o)[6]) {
  const V a = d[0] + d[2], b = d[1] + d[3], c = 4 * d[2] + d[0], e = 8 * d[3] + 2 * d[1];
  o[0] = d[0];
  o[1] = a + b;
  o[2] = a - b;
  o[3] = c + e;
  o[4] = c - e;
  o[5] = d[3];
}

// G g: three weights to six points.
RIDE_INLINE void weight_to_points(const V (&g)[3], V (&o)[6]) {
  const V a = g[0] + g[2], b = g[0] + 4 * g[2];
  o[0] = g[0] * (1.f / 4);
  o[1] = (a + g[1]) * (-1.f / 6);
  o[2] = (a - g[1]) * (-1.f / 6);
  o[3] = b * (1.f / 24) + g[1] * (1.f / 12);
  o[4] = b * (1.f / 24) - g[1] * (1.f / 12);
  o[5] = g[2];
}

// G^T u: six points back to three weights.
RIDE_INLINE void weight_from_points(const V (&u)[6], V (&o)[3]) {
  const V a = u[1] + u[2], b = u[2] - u[1], c = u[3] + u[4], d = u[3] - u[4];
  o[0] = u[0] * (1.f / 4) - a * (1.f / 6) + c * (1.f / 24);
  o[1] = b * (1.f / 6) + d * (1.f / 12);
  o[2] = (c - a) * (1.f / 6) + u[5];
}

}  // namespace engine::cpu::lanes::RIDE_ISA
