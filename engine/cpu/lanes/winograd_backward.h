// Winograd's backward-weight: A dY A^T of a run of tiles, and its products with B^T x B, summed over tiles and lanes.
// Included only by winograd_kernels.cpp.
#pragma once
#include "engine/cpu/lanes/winograd_input.h"

namespace engine::cpu::lanes::RIDE_ISA {

// A dY A^T of the tiles [first, last) of one row of tiles, one filter; pixels outside the image count as zero.
template <class T>
void transform_gradient(const T* dy, Plane in, int64_t tile_row, int64_t first, int64_t last, const Layout& layout,
                        int64_t filter, int64_t before, float* out) {
  const int64_t line = in.width * lanes, rest = in.height - tile * tile_row;
  const T* corner = dy + tile * tile_row * line;
  for (int64_t t = first; t < last; ++t) {
    const bool whole = rest >= tile && in.width - tile * t >= tile;
    for (int part = 0; part < parts; ++part) {
      const T* from = corner + tile * t * lanes + part * width;
      float* to = layout.at(out, filter, before + (t - first) * parts + part);
      V half[6][4];
      RIDE_UNROLL for (int j = 0; j < 4; ++j) {
        V d[4], o[6];
        if (whole) {
          RIDE_UNROLL for (int i = 0; i < 4; ++i) d[i] = load(from + i * line + j * lanes);
        } else {
          for (int i = 0; i < 4; ++i)
            d[i] = i < rest && tile * t + j < in.width ? load(from + i * line + j * lanes) : zero();
        }
        gradient_to_points(d, o);
        RIDE_UNROLL for (int i = 0; i < 6; ++i) half[i][j] = o[i];
      }
      RIDE_UNROLL for (int i = 0; i < 6; ++i) {
        V o[6];
        gradient_to_points(half[i], o);
        RIDE_UNROLL for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * layout.point, o[j]);
      }
    }
  }
}

// Filters by channels whose products are summed at a time; filters in nearly even blocks, as in forward.
constexpr int side_k = registers == 32 ? 6 : 3, side_c = 4;

// products[k][c] += the sum over vectors and lanes of d[k] v[c], a block of filters by a block of channels.
template <int block_k, int block_c>
RIDE_INLINE void correlate_block(const float* d, int64_t d_bundle, const float* v, int64_t v_bundle, int64_t bundles,
                                 float* products, int64_t channels) {
  V total[block_k][block_c];
  RIDE_UNROLL for (int k = 0; k < block_k; ++k) RIDE_UNROLL for (int c = 0; c < block_c; ++c) total[k][c] = zero();
  for (int64_t bundle = 0; bundle < bundles; ++bundle, d += d_bundle, v += v_bundle)
    RIDE_UNROLL for (int n = 0; n < across; ++n) {
      V value[block_c];
      RIDE_UNROLL for (int c = 0; c < block_c; ++c) value[c] = load(v + (c * across + n) * width);
      RIDE_UNROLL for (int k = 0; k < block_k; ++k) {
        const V gradient = load(d + (k * across + n) * width);
        RIDE_UNROLL for (int c = 0; c < block_c; ++c) total[k][c] = gradient * value[c] + total[k][c];
      }
    }
  RIDE_UNROLL for (int k = 0; k < block_k; ++k) {
    if constexpr (block_c == side_c) {
      add_sums(total[k], products + k * channels);
    } else {
      RIDE_UNROLL for (int c = 0; c < block_c; ++c) products[k * channels + c] += sum(total[k][c]);
    }
  }
}

template <int block_k>
void correlate(const float* d, int64_t d_bundle, const float* v, int64_t v_bundle, int64_t bundles, int64_t channels,
               Ahead* ahead, float* products) {
  int64_t c = 0;
  for (; c + side_c <= channels; c += side_c, v += side_c * across * width) {
    ahead[0].step();
    ahead[1].step();
    correlate_block<block_k, side_c>(d, d_bundle, v, v_bundle, bundles, products + c, channels);
  }
  for (; c < channels; ++c, v += across * width)
    correlate_block<block_k, 1>(d, d_bundle, v, v_bundle, bundles, products + c, channels);
}

using Correlate = void (*)(const float*, int64_t, const float*, int64_t, int64_t, int64_t, Ahead*, float*);
#if RIDE_VECTOR_REGISTERS == 32
constexpr Correlate correlate_by[side_k] = {correlate<1>, correlate<2>, correlate<3>,
                                            correlate<4>, correlate<5>, correlate<6>};
#else
constexpr Correlate correlate_by[side_k] = {correlate<1>, correlate<2>, correlate<3>};
#endif

template <class T>
void backward_weight(const T* x, Plane in, const Prologue* prologue, const T* dy, int64_t filters, Range tiles,
                     float* scratch, float* products) {
  const int64_t vectors = (tiles.end - tiles.begin) * parts, plane = in.height * in.width * lanes;
  const Layout x_layout(in.channels), dy_layout(filters);
  float* inputs = scratch + 7 * row_stride(in);
  float* gradients = inputs + bundles_of(vectors) * x_layout.bundle;
  transform_inputs(input_of(x, in, prologue, scratch), tiles, x_layout, inputs);
  clear_spare(gradients, dy_layout, vectors);
  for_rows(tiles, Grid(in).columns, [&](int64_t row, int64_t first, int64_t last, int64_t before) {
    for (int64_t k = 0; k < filters; ++k)
      transform_gradient(dy + k * plane, in, row, first, last, dy_layout, k, before, gradients);
  });
  const int64_t blocks = (filters + side_k - 1) / side_k;
  const int64_t steps = points * blocks * (in.channels < side_c ? 1 : in.channels / side_c);
  Ahead ahead[2] = {{x, in, tiles, steps}, {dy, {filters, in.height, in.width}, tiles, steps}};
  for (int p = 0; p < points; ++p)
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = filters * block / blocks, size = filters * (block + 1) / blocks - begin;
      correlate_by[size - 1](gradients + p * dy_layout.point + begin * across * width, dy_layout.bundle,
                             inputs + p * x_layout.point, x_layout.bundle, bundles_of(vectors), in.channels, ahead,
                             products + (p * filters + begin) * in.channels);
    }
}

inline int64_t backward_scratch(Plane in, int64_t filters, int64_t tiles) {
  return 7 * row_stride(in) + bundles_of(tiles * parts) * (Layout(in.channels).bundle + Layout(filters).bundle);
}

}  // namespace engine::cpu::lanes::RIDE_ISA
