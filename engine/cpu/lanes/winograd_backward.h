// Winograd's backward pass, one sweep over dy for both gradients, w' being w turned by half a turn:
//
//   dX = A^T [ (G w' G^T) . (B^T dY B) ] A,  . summed over filters
//   dw' = G^T [ sum over tiles and lanes (A x A^T) . (B^T dY B) ] G
//
// The first is forward's algorithm. In the second dw'[c][k] is a convolution of dy with x as its filters, of which a
// tile has 4x4 taps and 3x3 outputs: what B and A transform is what forward's B and backward-data's B would, so dy is
// transformed once. Included only by winograd_kernels.cpp.
#pragma once
#include "engine/cpu/lanes/transpose.h"
#include "engine/cpu/lanes/winograd_forward.h"

namespace engine::cpu::lanes::RIDE_ISA {

// A x A^T of the tiles [first, last) of one row of tiles, one channel; pixels outside the image count as zero.
template <Read read, class T>
void transform_tiles(const Source<T>& source, int64_t tile_row, int64_t first, int64_t last, const Layout& layout,
                     int64_t channel, int64_t before, float* out) {
  const Plane plane = source.plane;
  const int64_t line = plane.width * lanes, rest = plane.height - tile * tile_row;
  const T* corner = source.x + (channel * plane.height + tile * tile_row) * line;
  Constants constants;
  set_constants<read>(source, channel, constants);
  for (int64_t t = first; t < last; ++t) {
    const bool whole = rest >= tile && plane.width - tile * t >= tile;
    for (int part = 0; part < parts; ++part) {
      const T* from = corner + tile * t * lanes + part * width;
      const auto pixel = [&](int i, int j) __attribute__((always_inline)) {
        return read_pixel<read>(from + i * line + j * lanes, from, constants, part);
      };
      float* to = layout.at(out, channel, before + (t - first) * parts + part);
      V half[6][4];
      RIDE_UNROLL for (int j = 0; j < 4; ++j) {
        V d[4], o[6];
        if (whole) {
          RIDE_UNROLL for (int i = 0; i < 4; ++i) d[i] = pixel(i, j);
        } else {
          for (int i = 0; i < 4; ++i) d[i] = i < rest && tile * t + j < plane.width ? pixel(i, j) : zero();
        }
        tile_to_points(d, o);
        RIDE_UNROLL for (int i = 0; i < 6; ++i) half[i][j] = o[i];
      }
      RIDE_UNROLL for (int i = 0; i < 6; ++i) {
        V o[6];
        tile_to_points(half[i], o);
        RIDE_UNROLL for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * layout.point, o[j]);
      }
    }
  }
}

// --- products, the sums over lanes at the end ------------------------------------------------------------------------

// Channels by filters whose products are summed at a time; channels in nearly even blocks, as forward's filters.
constexpr int side_c = registers == 32 ? 6 : 3, side_k = 4;

// products[c][k] += the sum over vectors and lanes of x[c] dy[k], a block of channels by a block of filters.
template <int block_c, int block_k>
RIDE_INLINE void correlate_block(const float* x, int64_t x_bundle, const float* dy, int64_t dy_bundle, int64_t bundles,
                                 float* products, int64_t filters) {
  V total[block_c][block_k];
  RIDE_UNROLL for (int c = 0; c < block_c; ++c) RIDE_UNROLL for (int k = 0; k < block_k; ++k) total[c][k] = zero();
  for (int64_t bundle = 0; bundle < bundles; ++bundle, x += x_bundle, dy += dy_bundle)
    RIDE_UNROLL for (int n = 0; n < across; ++n) {
      V gradient[block_k];
      RIDE_UNROLL for (int k = 0; k < block_k; ++k) gradient[k] = load(dy + (k * across + n) * width);
      RIDE_UNROLL for (int c = 0; c < block_c; ++c) {
        const V value = load(x + (c * across + n) * width);
        RIDE_UNROLL for (int k = 0; k < block_k; ++k) total[c][k] = value * gradient[k] + total[c][k];
      }
    }
  RIDE_UNROLL for (int c = 0; c < block_c; ++c) {
    if constexpr (block_k == side_k) {
      add_sums(total[c], products + c * filters);
    } else {
      RIDE_UNROLL for (int k = 0; k < block_k; ++k) products[c * filters + k] += sum(total[c][k]);
    }
  }
}

// dy begins with the first of the filters [of.begin, of.end).
template <int block_c>
void correlate(const float* x, int64_t x_bundle, const float* dy, int64_t dy_bundle, int64_t bundles, Range of,
               Ahead& ahead, float* products) {
  int64_t k = of.begin;
  for (; k + side_k <= of.end; k += side_k, dy += side_k * across * width) {
    ahead.step();
    correlate_block<block_c, side_k>(x, x_bundle, dy, dy_bundle, bundles, products + k, of.end);
  }
  for (; k < of.end; ++k, dy += across * width)
    correlate_block<block_c, 1>(x, x_bundle, dy, dy_bundle, bundles, products + k, of.end);
}

using Correlate = void (*)(const float*, int64_t, const float*, int64_t, int64_t, Range, Ahead&, float*);
#if RIDE_VECTOR_REGISTERS == 32
constexpr Correlate correlate_by[side_c] = {correlate<1>, correlate<2>, correlate<3>,
                                            correlate<4>, correlate<5>, correlate<6>};
#else
constexpr Correlate correlate_by[side_c] = {correlate<1>, correlate<2>, correlate<3>};
#endif

// --- products, without sums over lanes -------------------------------------------------------------------------------

// A sum over few tiles ends too soon: adding up its lanes costs more than its products. With images and filters
// exchanged, sixteen of each, a sum over images is one over vectors, and x's values are factors for a whole vector.
constexpr int side = lanes;

// out (tiles, 16 images, 16 filters) from one point's values of sixteen filters.
inline void exchange(const float* dy, int64_t dy_bundle, int64_t tiles, float* out) {
  for (int64_t t = 0; t < tiles; ++t, out += side * side)
    for (int q = 0; q < parts; ++q) {
      const int64_t vector = t * parts + q;
      const float* from = dy + vector / across * dy_bundle + vector % across * width;
      for (int r = 0; r < parts; ++r) {
        V square[width];
        RIDE_UNROLL for (int i = 0; i < width; ++i) square[i] = load(from + (r * width + i) * across * width);
        transpose(square);
        RIDE_UNROLL for (int i = 0; i < width; ++i) store(out + (q * width + i) * side + r * width, square[i]);
      }
    }
}

// products[c][k] += the sum over tiles and images of x[c] dy[k], a block of channels by sixteen filters.
template <int block>
void add_products(const float* x, int64_t x_bundle, const float* exchanged, int64_t tiles, float* products,
                  int64_t filters) {
  V total[block][parts];
  RIDE_UNROLL for (int c = 0; c < block; ++c) RIDE_UNROLL for (int r = 0; r < parts; ++r) total[c][r] = zero();
  for (int64_t vector = 0; vector < tiles * parts; ++vector) {
    const float* factors = x + vector / across * x_bundle + vector % across * width;
    for (int n = 0; n < width; ++n, ++factors, exchanged += side) {
      V gradient[parts];
      RIDE_UNROLL for (int r = 0; r < parts; ++r) gradient[r] = load(exchanged + r * width);
      RIDE_UNROLL for (int c = 0; c < block; ++c) {
        const V value = all(factors[c * across * width]);
        RIDE_UNROLL for (int r = 0; r < parts; ++r) total[c][r] = value * gradient[r] + total[c][r];
      }
    }
  }
  RIDE_UNROLL for (int c = 0; c < block; ++c) RIDE_UNROLL for (int r = 0; r < parts; ++r) {
    float* to = products + c * filters + r * width;
    storeu(to, loadu(to) + total[c][r]);
  }
}

// As many sums as fit the registers.
constexpr int most_c = (registers == 32 ? 24 : 12) / parts;

template <int block = most_c, class... Args>
RIDE_INLINE void add_products_of(int64_t channels, Args... args) {
  if constexpr (block > 1)
    if (channels < block) return add_products_of<block - 1>(channels, args...);
  add_products<block>(args...);
}

// --- both gradients --------------------------------------------------------------------------------------------------

// products[p][c][k] += the sum over `count` tiles and their lanes of x's values at point p and dy's.
struct Correlation {
  int64_t channels, filters, count;
  // Exchanging costs about as much as the lanes' sums of four channels for each tile.
  int64_t squares() const { return channels >= 4 * count ? filters / side : 0; }
  int64_t steps() const {
    return points * (blocks_of(channels, side_c) * ((filters - squares() * side) / side_k) +
                     blocks_of(channels, most_c) * squares());
  }
  void run(const float* of_x, const float* of_dy, float* exchanged, Ahead& ahead, float* products) const;
};

inline void Correlation::run(const float* of_x, const float* of_dy, float* exchanged, Ahead& ahead,
                             float* products) const {
  const Layout x_layout(channels), dy_layout(filters);
  const int64_t rest = squares() * side;
  for (int p = 0; p < points; ++p) {
    const float *x = of_x + p * x_layout.point, *dy = of_dy + p * dy_layout.point;
    float* sums = products + p * channels * filters;
    for (int64_t k = 0; k < rest; k += side) {
      exchange(dy + k * across * width, dy_layout.bundle, count, exchanged);
      for_blocks(channels, most_c, [&](int64_t first, int64_t end) {
        ahead.step();
        add_products_of(end - first, x + first * across * width, x_layout.bundle, exchanged, count,
                        sums + first * filters + k, filters);
      });
    }
    if (rest < filters)
      for_blocks(channels, side_c, [&](int64_t first, int64_t end) {
        correlate_by[end - first - 1](x + first * across * width, x_layout.bundle, dy + rest * across * width,
                                      dy_layout.bundle, bundles_of(count * parts), {rest, filters}, ahead,
                                      sums + first * filters);
      });
  }
}

template <class T>
void backward(const Source<T>& dy, const Source<T>& x, const float* weights, Range tiles, int64_t images,
              float* scratch, const Outputs<T>& outputs, float* products) {
  const int64_t count = tiles.end - tiles.begin, vectors = count * parts;
  const Layout x_layout(x.plane.channels), dy_layout(dy.plane.channels);
  float* of_block = scratch + input_scratch(dy.plane);
  float* of_dy = of_block + points * product_step;
  float* of_x = of_dy + bundles_of(vectors) * dy_layout.bundle;
  float* exchanged = of_x + bundles_of(vectors) * x_layout.bundle;
  transform_inputs(dy, tiles, dy_layout, scratch, of_dy);
  clear_spare(of_x, x_layout, vectors);
  const auto transform = x.prologue ? transform_tiles<Read::normalised, T> : transform_tiles<Read::plain, T>;
  for_rows(tiles, Grid(x.plane).columns, [&](int64_t row, int64_t first, int64_t last, int64_t before) {
    for (int64_t c = 0; c < x.plane.channels; ++c) transform(x, row, first, last, x_layout, c, before, of_x);
  });

  const Correlation correlation{x.plane.channels, dy.plane.channels, count};
  Ahead ahead(tiles);
  ahead.add(dy);
  ahead.add(x);
  ahead.in_steps(correlation.steps() + (weights ? output_steps(x.plane.channels, tiles) : 0));
  if (weights)
    outputs_of<T>(of_dy, dy.plane.channels, weights, {x.plane, tiles, pixels_of(x.plane, tiles), images, outputs},
                  ahead, of_block);
  correlation.run(of_x, of_dy, exchanged, ahead, products);
}

inline int64_t backward_scratch(Plane in, int64_t channels, int64_t tiles) {
  return input_scratch(in) + points * product_step +
         bundles_of(tiles * parts) * (Layout(in.channels).bundle + Layout(channels).bundle) + tiles * side * side;
}

}  // namespace engine::cpu::lanes::RIDE_ISA
