// Compiled once per instruction set. Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016),
// with the points 0, 1, -1, 2, -2:
//
//   forward          Y = A^T [ (G w G^T) . (B^T x B) ] A             4x4 outputs from a 6x6 tile, . summed over
//   channels backward-data    the same with w rotated by half a turn, its filters and channels exchanged
//   backward-weight  dw = G^T [ sum over tiles (A dY A^T) . (B^T x B) ] G
#include "engine/cpu/lanes/winograd_kernels.h"

#include "engine/cpu/lanes/vec.h"
#include "engine/cpu/lanes/winograd_transforms.h"

namespace engine::cpu::lanes::RIDE_ISA {
namespace {

// --- where transformed values lie
// -------------------------------------------------------------------------------------

constexpr int points = 36;
constexpr int tile = 4;    // outputs of a tile, each way
constexpr int across = 2;  // vectors whose products are taken side by side

// Transformed values lie in bundles of `across` vectors (a vector is `width` of a tile's lanes), within a bundle point
// by point, within a point channel by channel: what a product over channels or a sum over tiles reads next is what lies
// next. Points are not a multiple of 4 KiB apart: thirty-six streams that far apart would all fall into one set of the
// first-level cache.
struct Layout {
  int64_t point, bundle;  // distances in floats

  explicit Layout(int64_t channels) : point(channels * across * width + 3 * lanes), bundle(points * point) {}
  float* at(float* begin, int64_t channel, int64_t vector) const {
    return begin + vector / across * bundle + (channel * across + vector % across) * width;
  }
};

RIDE_INLINE int64_t bundles_of(int64_t vectors) { return (vectors + across - 1) / across; }

// Zeros where the last bundle has vectors to spare: they are multiplied like the others.
RIDE_INLINE void clear_spare(float* begin, const Layout& layout, int64_t vectors) {
  if (vectors % across == 0) return;
  float* last = begin + vectors / across * layout.bundle;
  for (int64_t at = 0; at < layout.bundle; at += width) store(last + at, zero());
}

struct Grid {  // of a plane's output tiles
  int64_t rows, columns;
  explicit Grid(Plane p) : rows((p.height + tile - 1) / tile), columns((p.width + tile - 1) / tile) {}
};

// One transformed row of pixels for each of the six points.
RIDE_INLINE int64_t row_stride(Plane p) { return (Grid(p).columns * tile + 2) * lanes + lanes; }

// --- x to positions --------------------------------------------------------------------------------------------------

// What is transformed: one group's planes, perhaps through a prologue.
template <class T>
struct Input {
  const T* x;
  Plane plane;
  const Prologue* prologue;  // null without one
  const T* zeros;            // a row of them
  float* rows;               // room for six transformed rows
};

// B^T x B of the tiles [first, last) of one row of tiles, one channel: its vectors `before` and following.
template <bool normalised, class T>
void transform_input(const Input<T>& input, int64_t tile_row, int64_t first, int64_t last, const Layout& layout,
                     int64_t channel, int64_t before, float* out) {
  const int64_t line = input.plane.width * lanes, skip = row_stride(input.plane);
  const T* x = input.x + channel * input.plane.height * line;
  const T* from[6];
  bool inside[6];
  for (int i = 0; i < 6; ++i) {
    const int64_t h = tile * tile_row - 1 + i;
    inside[i] = h >= 0 && h < input.plane.height;
    from[i] = inside[i] ? x + h * line : input.zeros;
  }
  V scale[parts], shift[parts];
  if constexpr (normalised)
    for (int part = 0; part < parts; ++part) {
      const V mask = where(existing(input.prologue->images, part), all(1));
      scale[part] = input.prologue->scale[channel] * mask;
      shift[part] = input.prologue->shift[channel] * mask;
    }
  // Down the columns: pixels 4 first - 1 to 4 last of the row, those outside the image being zero.
  const int64_t left = tile * first - 1, right = tile * last + 1;
  const int64_t begin = left < 0 ? 0 : left, end = right > input.plane.width ? input.plane.width : right;
  float* rows = input.rows;
  for (int i = 0; i < 6; ++i) {
    for (int64_t at = 0; at < (begin - left) * lanes; at += width) store(rows + i * skip + at, zero());
    for (int64_t at = (end - left) * lanes; at < (right - left) * lanes; at += width)
      store(rows + i * skip + at, zero());
  }
  float* column = rows + (begin - left) * lanes;
  for (int64_t at = begin * lanes; at < end * lanes; at += lanes)
    RIDE_UNROLL for (int part = 0; part < parts; ++part, column += width) {
      V d[6], o[6];
      RIDE_UNROLL for (int i = 0; i < 6; ++i) {
        d[i] = load(from[i] + at + part * width);
        if constexpr (normalised) {
          // As batch norm computes it. Outside the image there is nothing to normalise.
          d[i] = inside[i] ? relu(d[i] * scale[part] + shift[part]) : zero();
        }
      }
      to_points(d, o);
      RIDE_UNROLL for (int i = 0; i < 6; ++i) store(column + i * skip, o[i]);
    }
  // Along the rows.
  for (int64_t t = first; t < last; ++t, rows += tile * lanes)
    for (int part = 0; part < parts; ++part) {
      float* to = layout.at(out, channel, before + (t - first) * parts + part);
      for (int i = 0; i < 6; ++i) {
        V d[6], o[6];
        RIDE_UNROLL for (int j = 0; j < 6; ++j) d[j] = load(rows + i * skip + j * lanes + part * width);
        to_points(d, o);
        RIDE_UNROLL for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * layout.point, o[j]);
      }
    }
}

// f(row of tiles, first column, last column, vectors before) for the stretches of `tiles` that lie in one row of tiles.
template <class F>
RIDE_INLINE void for_rows(Range tiles, int64_t columns, F&& f) {
  for (int64_t at = tiles.begin; at < tiles.end;) {
    const int64_t row = at / columns, first = at % columns;
    const int64_t rest = tiles.end - row * columns, last = rest < columns ? rest : columns;
    f(row, first, last, (at - tiles.begin) * parts);
    at = row * columns + last;
  }
}

// All channels of a run of tiles.
template <class T>
void transform_inputs(const Input<T>& input, Range tiles, const Layout& layout, float* out) {
  const int64_t vectors = (tiles.end - tiles.begin) * parts;
  clear_spare(out, layout, vectors);
  for_rows(tiles, Grid(input.plane).columns, [&](int64_t row, int64_t first, int64_t last, int64_t before) {
    const auto transform = input.prologue ? transform_input<true, T> : transform_input<false, T>;
    for (int64_t c = 0; c < input.plane.channels; ++c) transform(input, row, first, last, layout, c, before, out);
  });
}

// Scratch begins with room for six transformed rows and a row of zeros.
template <class T>
RIDE_INLINE Input<T> input_of(const T* x, Plane plane, const Prologue* prologue, float* scratch) {
  T* zeros = reinterpret_cast<T*>(scratch + 6 * row_stride(plane));
  for (int64_t at = 0; at < plane.width * lanes; at += width) store(zeros + at, zero());
  return {x, plane, prologue, zeros, scratch};
}

// --- products over channels ------------------------------------------------------------------------------------------

// Filters are taken in nearly even blocks of at most this many, so that no channel count wastes registers.
constexpr int max_block = registers == 32 ? 12 : 6;
constexpr int64_t product_step = max_block * across * width;  // floats of a point's products

RIDE_INLINE int64_t block_begin(int64_t filters, int64_t block) {
  return filters * block / ((filters + max_block - 1) / max_block);
}

// out[p][k] = sum_c u[p][c][k] v[p][c] at every point, for a block of filters and a bundle of vectors: as many sums as
// fit the registers.
template <int block>
void multiply(const float* u, const float* v, int64_t channels, float* out) {
  for (int p = 0; p < points; ++p, v += Layout(0).point, out += product_step) {
    V sum[block][across];
    RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int n = 0; n < across; ++n) sum[k][n] = zero();
    for (int64_t c = 0; c < channels; ++c, u += block, v += across * width) {
      V value[across];
      RIDE_UNROLL for (int n = 0; n < across; ++n) value[n] = load(v + n * width);
      RIDE_UNROLL for (int k = 0; k < block; ++k) {
        const V weight = all(u[k]);
        RIDE_UNROLL for (int n = 0; n < across; ++n) sum[k][n] = weight * value[n] + sum[k][n];
      }
    }
    RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int n = 0; n < across; ++n)
        store(out + (k * across + n) * width, sum[k][n]);
  }
}

using Multiply = void (*)(const float*, const float*, int64_t, float*);
#if RIDE_VECTOR_REGISTERS == 32
constexpr Multiply multiply_by[max_block] = {multiply<1>, multiply<2>,  multiply<3>,  multiply<4>,
                                             multiply<5>, multiply<6>,  multiply<7>,  multiply<8>,
                                             multiply<9>, multiply<10>, multiply<11>, multiply<12>};
#else
constexpr Multiply multiply_by[max_block] = {multiply<1>, multiply<2>, multiply<3>,
                                             multiply<4>, multiply<5>, multiply<6>};
#endif

// --- forward ---------------------------------------------------------------------------------------------------------

// What happens to outputs on their way to memory.
enum class Finish { plain, epilogue, moments };

// Sums over the outputs in one vector, relative to a value near their mean: that keeps the squares from cancelling.
struct LaneSums {
  V shift, sum, squares;
};

// The part of one filter's outputs that lies in one vector.
template <class T>
struct Target {
  T* y;
  const T* residual;  // null without one
  V bias, mask;       // mask: ones for images, zeros for padding lanes
  bool relu;
};

// The tile's outputs A^T m A to y, those of its rows and columns that lie inside the image.
template <Finish finish, class T>
RIDE_INLINE void store_outputs(const float* m, const Target<T>& to, LaneSums& sums, int64_t line, int64_t rows,
                               int64_t columns) {
  V half[4][6];
  RIDE_UNROLL for (int j = 0; j < 6; ++j) {
    V d[6], o[4];
    RIDE_UNROLL for (int i = 0; i < 6; ++i) d[i] = load(m + (6 * i + j) * product_step);
    from_points(d, o);
    RIDE_UNROLL for (int i = 0; i < 4; ++i) half[i][j] = o[i];
  }
  V sum = sums.sum, squares = sums.squares;
  const auto put = [&](V v, int64_t at) {
    if constexpr (finish == Finish::epilogue) {
      v += to.bias;
      if (to.residual) v += load(to.residual + at);
      if (to.relu) v = relu(v);
      v *= to.mask;
    }
    if constexpr (finish == Finish::moments) {
      const V d = v - sums.shift;
      sum += d;
      squares += d * d;
    }
    store(to.y + at, v);
  };
  RIDE_UNROLL for (int i = 0; i < 4; ++i) {
    V o[4];
    from_points(half[i], o);
    if (rows == tile && columns == tile) {
      RIDE_UNROLL for (int j = 0; j < 4; ++j) put(o[j], i * line + j * lanes);
    } else if (i < rows) {
      for (int j = 0; j < columns; ++j) put(o[j], i * line + j * lanes);
    }
  }
  if constexpr (finish == Finish::moments) {
    sums.sum = sum;
    sums.squares = squares;
  }
}

// The lanes put together. Each has a mean of its own, `lane` away from the first one's shift; their squares split into
// those within the lanes and those between them.
RIDE_INLINE Moments moments_of(const LaneSums (&sums)[parts], const V (&mask)[parts], int64_t pixels, int64_t images) {
  const float base = sums[0].shift[0], n = static_cast<float>(pixels);
  V lane_sum = zero(), lane_squares = zero(), within = zero();
  for (int part = 0; part < parts; ++part) {
    const V step = sums[part].sum / n, lane = (sums[part].shift - base + step) * mask[part];
    lane_sum += lane;
    lane_squares += lane * lane;
    within += (sums[part].squares - sums[part].sum * step) * mask[part];
  }
  float total[4] = {};
  const V parts_of_total[4] = {lane_sum, lane_squares, within, zero()};
  add_sums(parts_of_total, total);
  const double mean = static_cast<double>(total[0]) / static_cast<double>(images);
  return {base + mean, total[2] + static_cast<double>(n) * (total[1] - total[0] * mean)};
}

// What forward is asked for, without x.
template <class T>
struct Request {
  Plane image;  // of y
  Range tiles;
  int64_t pixels;  // of those tiles
  int64_t images;
  const Epilogue<T>* epilogue;
  Moments* moments;
  T* y;
};

// One block of filters over all vectors: products, and from them the outputs, before either leaves the cache.
template <Finish finish, class T>
void multiply_and_store(const float* weights, const float* inputs, int64_t channels, Range filters, float* products,
                        const Request<T>& r) {
  const int64_t columns = Grid(r.image).columns, line = r.image.width * lanes, plane = r.image.height * line;
  const int64_t vectors = (r.tiles.end - r.tiles.begin) * parts, bundle = Layout(channels).bundle;
  LaneSums sums[max_block][parts];
  V mask[parts];
  for (int part = 0; part < parts; ++part) mask[part] = where(existing(r.images, part), all(1));
  for (int64_t n = 0; n < vectors; n += across, inputs += bundle) {
    multiply_by[filters.end - filters.begin - 1](weights, inputs, channels, products);
    for (int64_t i = n; i < n + across && i < vectors; ++i) {
      const int64_t row = (r.tiles.begin + i / parts) / columns, column = (r.tiles.begin + i / parts) % columns;
      const int64_t rows = r.image.height - tile * row, wide = r.image.width - tile * column;
      const int part = static_cast<int>(i % parts);
      for (int64_t k = filters.begin; k < filters.end; ++k) {
        const int64_t at = k * plane + tile * (row * line + column * lanes) + part * width;
        const float* m = products + ((k - filters.begin) * across + (i - n)) * width;
        LaneSums& sum = sums[k - filters.begin][part];
        // Point (1, 1) alone is the output of a constant image: near the mean, and at hand.
        if (finish == Finish::moments && i < parts) sum = {load(m + (6 * 1 + 1) * product_step), zero(), zero()};
        Target<T> to{r.y + at, nullptr, zero(), mask[part], false};
        if constexpr (finish == Finish::epilogue) {
          to.residual = r.epilogue->residual ? r.epilogue->residual + at : nullptr;
          to.bias = r.epilogue->bias ? all(r.epilogue->bias[k]) : zero();
          to.relu = r.epilogue->relu;
        }
        store_outputs<finish>(m, to, sum, line, rows < tile ? rows : tile, wide < tile ? wide : tile);
      }
    }
  }
  if constexpr (finish == Finish::moments)
    for (int64_t k = filters.begin; k < filters.end; ++k)
      r.moments[k] = moments_of(sums[k - filters.begin], mask, r.pixels, r.images);
}

// Pixels of the tiles that lie inside the image.
RIDE_INLINE int64_t pixels_of(Plane image, Range tiles) {
  int64_t pixels = 0;
  for_rows(tiles, Grid(image).columns, [&](int64_t row, int64_t first, int64_t last, int64_t) {
    const int64_t bottom = tile * row + tile < image.height ? tile * row + tile : image.height;
    const int64_t right = tile * last < image.width ? tile * last : image.width;
    pixels += (bottom - tile * row) * (right - tile * first);
  });
  return pixels;
}

template <class T>
int64_t forward(const T* x, Plane in, const Prologue* prologue, const float* weights, int64_t filters, Range tiles,
                int64_t images, float* scratch, const Epilogue<T>* epilogue, Moments* moments, T* y) {
  const Input<T> input = input_of(x, in, prologue, scratch);
  float* products = scratch + 7 * row_stride(in);
  float* inputs = products + points * product_step;
  transform_inputs(input, tiles, Layout(in.channels), inputs);

  const int64_t pixels = pixels_of(in, tiles);
  const Request<T> request{{filters, in.height, in.width}, tiles, pixels, images, epilogue, moments, y};
  const auto pass = epilogue  ? multiply_and_store<Finish::epilogue, T>
                    : moments ? multiply_and_store<Finish::moments, T>
                              : multiply_and_store<Finish::plain, T>;
  for (int64_t k = 0, block = 1; k < filters; ++block) {
    const int64_t end = block_begin(filters, block);
    pass(weights + points * k * in.channels, inputs, in.channels, {k, end}, products, request);
    k = end;
  }
  return pixels * images;
}

int64_t forward_scratch(Plane in, int64_t tiles) {
  return 7 * row_stride(in) + points * product_step + bundles_of(tiles * parts) * Layout(in.channels).bundle;
}

// --- backward-weight -------------------------------------------------------------------------------------------------

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
               float* products) {
  int64_t c = 0;
  for (; c + side_c <= channels; c += side_c, v += side_c * across * width)
    correlate_block<block_k, side_c>(d, d_bundle, v, v_bundle, bundles, products + c, channels);
  for (; c < channels; ++c, v += across * width)
    correlate_block<block_k, 1>(d, d_bundle, v, v_bundle, bundles, products + c, channels);
}

using Correlate = void (*)(const float*, int64_t, const float*, int64_t, int64_t, int64_t, float*);
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
  for (int p = 0; p < points; ++p)
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = filters * block / blocks, size = filters * (block + 1) / blocks - begin;
      correlate_by[size - 1](gradients + p * dy_layout.point + begin * across * width, dy_layout.bundle,
                             inputs + p * x_layout.point, x_layout.bundle, bundles_of(vectors), in.channels,
                             products + (p * filters + begin) * in.channels);
    }
}

int64_t backward_scratch(Plane in, int64_t filters, int64_t tiles) {
  return 7 * row_stride(in) + bundles_of(tiles * parts) * (Layout(in.channels).bundle + Layout(filters).bundle);
}

// --- weights ---------------------------------------------------------------------------------------------------------

// As multiply reads them: block by block of filters, point by point. `width` channels at a time.
void transform_weights(const float* w, int64_t filters, int64_t channels, bool flipped, Range range, float* out) {
  const int64_t filter_step = flipped ? 9 : 9 * channels, channel_step = flipped ? 9 * filters : 9;
  for (int64_t block = 0; block_begin(filters, block) < filters; ++block) {
    const int64_t begin = block_begin(filters, block), size = block_begin(filters, block + 1) - begin;
    for (int64_t k = 0; k < size; ++k)
      for (int64_t c = range.begin; c < range.end; c += width) {
        const int64_t count = range.end - c < width ? range.end - c : width;
        float taps[9][width] = {};
        for (int64_t l = 0; l < count; ++l)
          for (int i = 0; i < 9; ++i)
            taps[flipped ? 8 - i : i][l] = w[(begin + k) * filter_step + (c + l) * channel_step + i];
        V half[6][3];
        RIDE_UNROLL for (int j = 0; j < 3; ++j) {
          V g[3], o[6];
          RIDE_UNROLL for (int i = 0; i < 3; ++i) g[i] = loadu(taps[3 * i + j]);
          weight_to_points(g, o);
          RIDE_UNROLL for (int i = 0; i < 6; ++i) half[i][j] = o[i];
        }
        float* to = out + points * begin * channels + c * size + k;
        RIDE_UNROLL for (int i = 0; i < 6; ++i) {
          V o[6];
          weight_to_points(half[i], o);
          for (int j = 0; j < 6; ++j)
            for (int64_t l = 0; l < count; ++l) to[(6 * i + j) * size * channels + l * size] = o[j][l];
        }
      }
  }
}

// dw of `width` neighbouring (filter, channel) pairs at a time.
void untransform_weights(const float* products, int64_t pieces, int64_t filters, int64_t channels, Range range,
                         float* dw) {
  const int64_t pairs = filters * channels;
  for (int64_t at = range.begin; at < range.end; at += width) {
    const int64_t count = range.end - at < width ? range.end - at : width;
    V half[3][6];
    RIDE_UNROLL for (int j = 0; j < 6; ++j) {
      V u[6], o[3];
      for (int i = 0; i < 6; ++i) {
        const float* from = products + (6 * i + j) * pairs + at;
        u[i] = load_some(from, count);
        for (int64_t piece = 1; piece < pieces; ++piece) u[i] += load_some(from + piece * points * pairs, count);
      }
      weight_from_points(u, o);
      RIDE_UNROLL for (int i = 0; i < 3; ++i) half[i][j] = o[i];
    }
    for (int i = 0; i < 3; ++i) {
      V o[3];
      weight_from_points(half[i], o);
      for (int j = 0; j < 3; ++j)
        for (int64_t l = 0; l < count; ++l) dw[(at + l) * 9 + 3 * i + j] = o[j][l];
    }
  }
}

}  // namespace

const WinogradKernels winograd_kernels = {forward_scratch,
                                          backward_scratch,
                                          transform_weights,
                                          untransform_weights,
                                          {forward<float>, backward_weight<float>},
                                          {forward<bf16>, backward_weight<bf16>}};

}  // namespace engine::cpu::lanes::RIDE_ISA
