// Compiled once per instruction set. Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016),
// with the points 0, 1, -1, 2, -2:
//
//   forward          Y = A^T [ (G w G^T) . (B^T x B) ] A             4x4 outputs from a 6x6 tile, . summed over
//   channels backward-data    the same with w rotated by half a turn, its filters and channels exchanged
//   backward-weight  dw = G^T [ sum over tiles (A dY A^T) . (B^T x B) ] G
#include "engine/cpu/lanes/winograd_kernels.h"

#include "engine/cpu/lanes/vec.h"

namespace engine::cpu::lanes::RIDE_ISA {
namespace {

// --- the transforms, in one dimension
// ---------------------------------------------------------------------------------

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

// A y: four gradients to six points.
RIDE_INLINE void gradient_to_points(const V (&y)[4], V (&o)[6]) {
  const V a = y[0] + y[2], b = y[1] + y[3], c = 4 * y[2] + y[0], d = 8 * y[3] + 2 * y[1];
  o[0] = y[0];
  o[1] = a + b;
  o[2] = a - b;
  o[3] = c + d;
  o[4] = c - d;
  o[5] = y[3];
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

// --- scratch
// ----------------------------------------------------------------------------------------------------------

constexpr int points = 36;
constexpr int tile = 4;  // outputs of a tile, each way

// Distance in floats between two positions' planes. Not a multiple of 4 KiB: thirty-six streams that far apart would
// all fall into one set of the first-level cache.
RIDE_INLINE int64_t position_stride(int64_t channels, int64_t vectors) {
  return channels * vectors * width + 3 * lanes;
}

struct Grid {  // of a plane's output tiles
  int64_t rows, columns;
  explicit Grid(Plane p) : rows((p.height + tile - 1) / tile), columns((p.width + tile - 1) / tile) {}
};

// One transformed row of pixels for each of the six points.
RIDE_INLINE int64_t row_stride(Plane p) { return (Grid(p).columns * tile + 2) * lanes + lanes; }

// --- x to positions
// ---------------------------------------------------------------------------------------------------

// B^T x B of the tiles [first, last) of one row of tiles, one channel: to out[p * stride + part of tile].
template <class T>
void transform_input(const T* x, Plane in, int64_t tile_row, int64_t first, int64_t last, float* rows, const T* zeros,
                     float* out, int64_t stride) {
  const int64_t line = in.width * lanes, skip = row_stride(in);
  const T* from[6];
  for (int i = 0; i < 6; ++i) {
    const int64_t h = tile * tile_row - 1 + i;
    from[i] = h >= 0 && h < in.height ? x + h * line : zeros;
  }
  // Down the columns: pixels 4 first - 1 to 4 last of the row, those outside the image being zero.
  const int64_t left = tile * first - 1, right = tile * last + 1;
  const int64_t begin = left < 0 ? 0 : left, end = right > in.width ? in.width : right;
  for (int i = 0; i < 6; ++i) {
    for (int64_t at = 0; at < (begin - left) * lanes; at += width) store(rows + i * skip + at, zero());
    for (int64_t at = (end - left) * lanes; at < (right - left) * lanes; at += width)
      store(rows + i * skip + at, zero());
  }
  float* column = rows + (begin - left) * lanes;
  for (int64_t at = begin * lanes; at < end * lanes; at += width, column += width) {
    V d[6], o[6];
    RIDE_UNROLL for (int i = 0; i < 6; ++i) d[i] = load(from[i] + at);
    to_points(d, o);
    RIDE_UNROLL for (int i = 0; i < 6; ++i) store(column + i * skip, o[i]);
  }
  // Along the rows.
  for (int64_t t = first; t < last; ++t, rows += tile * lanes, out += lanes)
    for (int part = 0; part < parts; ++part)
      for (int i = 0; i < 6; ++i) {
        V d[6], o[6];
        RIDE_UNROLL for (int j = 0; j < 6; ++j) d[j] = load(rows + i * skip + j * lanes + part * width);
        to_points(d, o);
        RIDE_UNROLL for (int j = 0; j < 6; ++j) store(out + (6 * i + j) * stride + part * width, o[j]);
      }
}

// f(row of tiles, first column, last column, tiles before) for the stretches of `tiles` that lie in one row of tiles.
template <class F>
RIDE_INLINE void for_rows(Range tiles, int64_t columns, F&& f) {
  for (int64_t at = tiles.begin; at < tiles.end;) {
    const int64_t row = at / columns, first = at % columns;
    const int64_t rest = tiles.end - row * columns, last = rest < columns ? rest : columns;
    f(row, first, last, at - tiles.begin);
    at = row * columns + last;
  }
}

// --- products over channels
// ---------------------------------------------------------------------------------------------

// Filters are taken in nearly even blocks of at most this many, so that no channel count wastes registers.
constexpr int max_block = registers == 32 ? 12 : 6;
constexpr int across = 2;  // vectors side by side

RIDE_INLINE int64_t block_count(int64_t filters) { return (filters + max_block - 1) / max_block; }
RIDE_INLINE int64_t block_begin(int64_t filters, int64_t block) { return filters * block / block_count(filters); }

// out[k][n] = sum_c u[c][k] v[c][n] for `block` filters and `n` vectors.
template <int block, int side>
RIDE_INLINE void multiply_tile(const float* u, const float* v, int64_t channels, int64_t step, float* out) {
  V sum[block][side];
  RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int n = 0; n < side; ++n) sum[k][n] = zero();
  for (int64_t c = 0; c < channels; ++c, u += block, v += step) {
    V value[side];
    RIDE_UNROLL for (int n = 0; n < side; ++n) value[n] = load(v + n * width);
    RIDE_UNROLL for (int k = 0; k < block; ++k) {
      const V weight = all(u[k]);
      RIDE_UNROLL for (int n = 0; n < side; ++n) sum[k][n] = weight * value[n] + sum[k][n];
    }
  }
  RIDE_UNROLL for (int k = 0; k < block; ++k) RIDE_UNROLL for (int n = 0; n < side; ++n)
      store(out + k * step + n * width, sum[k][n]);
}

template <int block>
void multiply_block(const float* u, const float* v, int64_t channels, int64_t vectors, float* out) {
  int64_t n = 0;
  for (; n + across <= vectors; n += across)
    multiply_tile<block, across>(u, v + n * width, channels, vectors * width, out + n * width);
  for (; n < vectors; ++n) multiply_tile<block, 1>(u, v + n * width, channels, vectors * width, out + n * width);
}

using Multiply = void (*)(const float*, const float*, int64_t, int64_t, float*);
#if RIDE_VECTOR_REGISTERS == 32
constexpr Multiply multiply_blocks[max_block] = {multiply_block<1>,  multiply_block<2>,  multiply_block<3>,
                                                 multiply_block<4>,  multiply_block<5>,  multiply_block<6>,
                                                 multiply_block<7>,  multiply_block<8>,  multiply_block<9>,
                                                 multiply_block<10>, multiply_block<11>, multiply_block<12>};
#else
constexpr Multiply multiply_blocks[max_block] = {multiply_block<1>, multiply_block<2>, multiply_block<3>,
                                                 multiply_block<4>, multiply_block<5>, multiply_block<6>};
#endif

// --- forward
// ----------------------------------------------------------------------------------------------------------

// The tile's outputs A^T m A to y, those inside the image.
template <class T>
RIDE_INLINE void store_outputs(const float* m, int64_t stride, T* y, int64_t line, int64_t rows, int64_t columns) {
  V half[4][6];
  RIDE_UNROLL for (int j = 0; j < 6; ++j) {
    V d[6], o[4];
    RIDE_UNROLL for (int i = 0; i < 6; ++i) d[i] = load(m + (6 * i + j) * stride);
    from_points(d, o);
    RIDE_UNROLL for (int i = 0; i < 4; ++i) half[i][j] = o[i];
  }
  RIDE_UNROLL for (int i = 0; i < 4; ++i) {
    V o[4];
    from_points(half[i], o);
    if (rows == tile && columns == tile) {
      RIDE_UNROLL for (int j = 0; j < 4; ++j) store(y + i * line + j * lanes, o[j]);
    } else if (i < rows) {
      for (int j = 0; j < columns; ++j) store(y + i * line + j * lanes, o[j]);
    }
  }
}

template <class T>
void forward(const T* x, Plane in, const float* weights, int64_t filters, Range tiles, float* scratch, T* y) {
  const Grid grid(in);
  const int64_t count = tiles.end - tiles.begin, vectors = count * parts, plane = in.height * in.width * lanes;
  const int64_t in_stride = position_stride(in.channels, vectors), out_stride = position_stride(filters, vectors);
  float* rows = scratch;
  T* zeros = reinterpret_cast<T*>(rows + 6 * row_stride(in));
  float* inputs = rows + 7 * row_stride(in);
  float* outputs = inputs + points * in_stride;
  for (int64_t at = 0; at < in.width * lanes; at += width) store(zeros + at, zero());

  for_rows(tiles, grid.columns, [&](int64_t row, int64_t first, int64_t last, int64_t before) {
    for (int64_t c = 0; c < in.channels; ++c)
      transform_input(x + c * plane, in, row, first, last, rows, zeros, inputs + c * vectors * width + before * lanes,
                      in_stride);
  });
  for (int p = 0; p < points; ++p)
    for (int64_t block = 0; block < block_count(filters); ++block) {
      const int64_t begin = block_begin(filters, block), end = block_begin(filters, block + 1);
      multiply_blocks[end - begin - 1](weights + (p * filters + begin) * in.channels, inputs + p * in_stride,
                                       in.channels, vectors, outputs + p * out_stride + begin * vectors * width);
    }
  for_rows(tiles, grid.columns, [&](int64_t row, int64_t first, int64_t last, int64_t before) {
    const int64_t line = in.width * lanes, rest = in.height - tile * row;
    for (int64_t k = 0; k < filters; ++k)
      for (int64_t t = first; t < last; ++t)
        for (int part = 0; part < parts; ++part)
          store_outputs(outputs + k * vectors * width + (before + t - first) * lanes + part * width, out_stride,
                        y + k * plane + tile * row * line + tile * t * lanes + part * width, line,
                        rest < tile ? rest : tile, in.width - tile * t < tile ? in.width - tile * t : tile);
  });
}

int64_t scratch_size(Plane in, int64_t filters, int64_t tiles) {
  return 7 * row_stride(in) +
         points * (position_stride(in.channels, tiles * parts) + position_stride(filters, tiles * parts));
}

// --- backward-weight
// --------------------------------------------------------------------------------------------------

// A dY A^T of the tiles [first, last) of one row of tiles, one filter; pixels outside the image count as zero.
template <class T>
void transform_gradient(const T* dy, Plane in, int64_t tile_row, int64_t first, int64_t last, float* out,
                        int64_t stride) {
  const int64_t line = in.width * lanes, rest = in.height - tile * tile_row;
  const T* corner = dy + tile * tile_row * line;
  for (int64_t t = first; t < last; ++t, out += lanes) {
    const bool whole = rest >= tile && in.width - tile * t >= tile;
    for (int part = 0; part < parts; ++part) {
      const T* from = corner + tile * t * lanes + part * width;
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
        RIDE_UNROLL for (int j = 0; j < 6; ++j) store(out + (6 * i + j) * stride + part * width, o[j]);
      }
    }
  }
}

// Filters by channels whose products are summed at a time; filters in nearly even blocks, as in forward.
constexpr int side_k = registers == 32 ? 6 : 3, side_c = 4;

// products[k][c] += the lane sums of sum_n d[k][n] v[c][n], a block of filters by a block of channels.
template <int block_k, int block_c>
RIDE_INLINE void correlate_tile(const float* d, const float* v, int64_t vectors, float* products, int64_t channels) {
  V total[block_k][block_c];
  RIDE_UNROLL for (int k = 0; k < block_k; ++k) RIDE_UNROLL for (int c = 0; c < block_c; ++c) total[k][c] = zero();
  const int64_t step = vectors * width;
  for (int64_t n = 0; n < step; n += width) {
    V value[block_c];
    RIDE_UNROLL for (int c = 0; c < block_c; ++c) value[c] = load(v + c * step + n);
    RIDE_UNROLL for (int k = 0; k < block_k; ++k) {
      const V gradient = load(d + k * step + n);
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
void correlate_row(const float* d, const float* v, int64_t vectors, int64_t channels, float* products) {
  int64_t c = 0;
  for (; c + side_c <= channels; c += side_c)
    correlate_tile<block_k, side_c>(d, v + c * vectors * width, vectors, products + c, channels);
  for (; c < channels; ++c) correlate_tile<block_k, 1>(d, v + c * vectors * width, vectors, products + c, channels);
}

using Correlate = void (*)(const float*, const float*, int64_t, int64_t, float*);
#if RIDE_VECTOR_REGISTERS == 32
constexpr Correlate correlate_rows[side_k] = {correlate_row<1>, correlate_row<2>, correlate_row<3>,
                                              correlate_row<4>, correlate_row<5>, correlate_row<6>};
#else
constexpr Correlate correlate_rows[side_k] = {correlate_row<1>, correlate_row<2>, correlate_row<3>};
#endif

template <class T>
void backward_weight(const T* x, Plane in, const T* dy, int64_t filters, Range tiles, float* scratch, float* products) {
  const Grid grid(in);
  const int64_t count = tiles.end - tiles.begin, vectors = count * parts, plane = in.height * in.width * lanes;
  const int64_t x_stride = position_stride(in.channels, vectors), dy_stride = position_stride(filters, vectors);
  float* rows = scratch;
  T* zeros = reinterpret_cast<T*>(rows + 6 * row_stride(in));
  float* inputs = rows + 7 * row_stride(in);
  float* gradients = inputs + points * x_stride;
  for (int64_t at = 0; at < in.width * lanes; at += width) store(zeros + at, zero());

  for_rows(tiles, grid.columns, [&](int64_t row, int64_t first, int64_t last, int64_t before) {
    for (int64_t c = 0; c < in.channels; ++c)
      transform_input(x + c * plane, in, row, first, last, rows, zeros, inputs + c * vectors * width + before * lanes,
                      x_stride);
    for (int64_t k = 0; k < filters; ++k)
      transform_gradient(dy + k * plane, in, row, first, last, gradients + k * vectors * width + before * lanes,
                         dy_stride);
  });
  for (int p = 0; p < points; ++p) {
    const float *d = gradients + p * dy_stride, *v = inputs + p * x_stride;
    float* out = products + p * filters * in.channels;
    const int64_t blocks = (filters + side_k - 1) / side_k;
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = filters * block / blocks, size = filters * (block + 1) / blocks - begin;
      correlate_rows[size - 1](d + begin * vectors * width, v, vectors, in.channels, out + begin * in.channels);
    }
  }
}

// --- weights
// ----------------------------------------------------------------------------------------------------------

// Sixteen (or `width`) channels of one filter at a time.
void transform_weights(const float* w, int64_t filters, int64_t channels, bool flipped, Range blocks, float* out) {
  const int64_t filter_step = flipped ? 9 : 9 * channels, channel_step = flipped ? 9 * filters : 9;
  for (int64_t block = blocks.begin; block < blocks.end; ++block) {
    const int64_t begin = block_begin(filters, block), size = block_begin(filters, block + 1) - begin;
    for (int64_t k = 0; k < size; ++k)
      for (int64_t c = 0; c < channels; c += width) {
        const int64_t count = channels - c < width ? channels - c : width;
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
        float* to = out + begin * channels + c * size + k;
        RIDE_UNROLL for (int i = 0; i < 6; ++i) {
          V o[6];
          weight_to_points(half[i], o);
          for (int j = 0; j < 6; ++j)
            for (int64_t l = 0; l < count; ++l) to[(6 * i + j) * filters * channels + l * size] = o[j][l];
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

const WinogradKernels winograd_kernels = {block_count,
                                          scratch_size,
                                          transform_weights,
                                          untransform_weights,
                                          {forward<float>, backward_weight<float>},
                                          {forward<bf16>, backward_weight<bf16>}};

}  // namespace engine::cpu::lanes::RIDE_ISA
