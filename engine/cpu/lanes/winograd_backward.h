// Winograd's backward-weight: A dY A^T of a run of tiles, and its products with B^T x B, summed over tiles and lanes.
// Included only by winograd_kernels.cpp.
#pragma once
#include "engine/cpu/lanes/transpose.h"
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

// --- products, the sums over lanes at the end ------------------------------------------------------------------------

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

// v begins with the first of the channels [of.begin, of.end).
template <int block_k>
void correlate(const float* d, int64_t d_bundle, const float* v, int64_t v_bundle, int64_t bundles, Range of,
               Ahead* ahead, float* products) {
  int64_t c = of.begin;
  for (; c + side_c <= of.end; c += side_c, v += side_c * across * width) {
    ahead[0].step();
    ahead[1].step();
    correlate_block<block_k, side_c>(d, d_bundle, v, v_bundle, bundles, products + c, of.end);
  }
  for (; c < of.end; ++c, v += across * width)
    correlate_block<block_k, 1>(d, d_bundle, v, v_bundle, bundles, products + c, of.end);
}

using Correlate = void (*)(const float*, int64_t, const float*, int64_t, int64_t, Range, Ahead*, float*);
#if RIDE_VECTOR_REGISTERS == 32
constexpr Correlate correlate_by[side_k] = {correlate<1>, correlate<2>, correlate<3>,
                                            correlate<4>, correlate<5>, correlate<6>};
#else
constexpr Correlate correlate_by[side_k] = {correlate<1>, correlate<2>, correlate<3>};
#endif

// --- products, without sums over lanes -------------------------------------------------------------------------------

// A sum over few tiles ends too soon: adding up its lanes costs more than its products. With images and channels
// exchanged, sixteen of each, a sum over images is one over vectors, and dy's values are factors for a whole vector.
constexpr int side = lanes;

// out (tiles, 16 images, 16 channels) from one point's values of sixteen channels.
inline void exchange(const float* v, int64_t v_bundle, int64_t tiles, float* out) {
  for (int64_t t = 0; t < tiles; ++t, out += side * side)
    for (int q = 0; q < parts; ++q) {
      const int64_t vector = t * parts + q;
      const float* from = v + vector / across * v_bundle + vector % across * width;
      for (int r = 0; r < parts; ++r) {
        V square[width];
        RIDE_UNROLL for (int i = 0; i < width; ++i) square[i] = load(from + (r * width + i) * across * width);
        transpose(square);
        RIDE_UNROLL for (int i = 0; i < width; ++i) store(out + (q * width + i) * side + r * width, square[i]);
      }
    }
}

// products[k][c] += the sum over tiles and images of d[k] v[c], a block of filters by sixteen channels.
template <int block>
void add_products(const float* d, int64_t d_bundle, const float* exchanged, int64_t tiles, float* products,
                  int64_t channels) {
  V total[block][parts];
  RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int r = 0; r < parts; ++r) total[k][r] = zero();
  for (int64_t vector = 0; vector < tiles * parts; ++vector) {
    const float* factors = d + vector / across * d_bundle + vector % across * width;
    for (int n = 0; n < width; ++n, ++factors, exchanged += side) {
      V value[parts];
      RIDE_UNROLL for (int r = 0; r < parts; ++r) value[r] = load(exchanged + r * width);
      RIDE_UNROLL for (int k = 0; k < block; ++k) {
        const V gradient = all(factors[k * across * width]);
        RIDE_UNROLL for (int r = 0; r < parts; ++r) total[k][r] = gradient * value[r] + total[k][r];
      }
    }
  }
  RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int r = 0; r < parts; ++r) {
    float* to = products + k * channels + r * width;
    storeu(to, loadu(to) + total[k][r]);
  }
}

// As many sums as fit the registers.
constexpr int most_k = (registers == 32 ? 24 : 12) / parts;

template <int block = most_k, class... Args>
RIDE_INLINE void add_products_of(int64_t filters, Args... args) {
  if constexpr (block > 1)
    if (filters < block) return add_products_of<block - 1>(filters, args...);
  add_products<block>(args...);
}

// --- both together ---------------------------------------------------------------------------------------------------

template <class T>
void backward_weight(const T* x, Plane in, const Prologue* prologue, const T* dy, int64_t filters, Range tiles,
                     float* scratch, float* products) {
  const int64_t count = tiles.end - tiles.begin, vectors = count * parts, plane = in.height * in.width * lanes;
  const Layout x_layout(in.channels), dy_layout(filters);
  float* inputs = scratch + 7 * row_stride(in);
  float* gradients = inputs + bundles_of(vectors) * x_layout.bundle;
  float* exchanged = gradients + bundles_of(vectors) * dy_layout.bundle;
  transform_inputs(input_of(x, in, prologue, scratch), tiles, x_layout, inputs);
  clear_spare(gradients, dy_layout, vectors);
  for_rows(tiles, Grid(in).columns, [&](int64_t row, int64_t first, int64_t last, int64_t before) {
    for (int64_t k = 0; k < filters; ++k)
      transform_gradient(dy + k * plane, in, row, first, last, dy_layout, k, before, gradients);
  });
  // Exchanging costs about as much as the lanes' sums of four filters for each tile.
  const int64_t squares = filters >= 4 * count ? in.channels / side : 0, rest = squares * side;
  const int64_t steps = points * blocks_of(filters, side_k) * ((in.channels - rest) / side_c) +
                        points * blocks_of(filters, most_k) * squares;
  Ahead ahead[2] = {{x, in, tiles, steps}, {dy, {filters, in.height, in.width}, tiles, steps}};
  for (int p = 0; p < points; ++p) {
    const float *v = inputs + p * x_layout.point, *d = gradients + p * dy_layout.point;
    float* sums = products + p * filters * in.channels;
    for (int64_t c = 0; c < rest; c += side) {
      exchange(v + c * across * width, x_layout.bundle, count, exchanged);
      for_blocks(filters, most_k, [&](int64_t first, int64_t end) {
        ahead[0].step();
        ahead[1].step();
        add_products_of(end - first, d + first * across * width, dy_layout.bundle, exchanged, count,
                        sums + first * in.channels + c, in.channels);
      });
    }
    if (rest < in.channels)
      for_blocks(filters, side_k, [&](int64_t first, int64_t end) {
        correlate_by[end - first - 1](d + first * across * width, dy_layout.bundle, v + rest * across * width,
                                      x_layout.bundle, bundles_of(vectors), {rest, in.channels}, ahead,
                                      sums + first * in.channels);
      });
  }
}

inline int64_t backward_scratch(Plane in, int64_t filters, int64_t tiles) {
  return 7 * row_stride(in) + bundles_of(tiles * parts) * (Layout(in.channels).bundle + Layout(filters).bundle) +
         tiles * side * side;
}

}  // namespace engine::cpu::lanes::RIDE_ISA
