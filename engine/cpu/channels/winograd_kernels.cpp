// Compiled once per instruction set.
//
//   y = A^T [ sum over channels of (G w G^T) . (B^T x B) ] A             4x4 outputs from a 6x6 tile, 36 points
//
// Some tiles at a time: all their channels are transformed; then, block by block of filters, each point's products
// (tiles x channels) (channels x filters) are taken and at once transformed back.
#include "engine/cpu/lanes/winograd_transforms.h"

#include "engine/cpu/channels/blocks.h"

namespace engine::cpu::channels {
namespace RIDE_ISA {
namespace {

constexpr int points = 36;
constexpr int tile = 4;               // outputs of a tile, each way
constexpr int64_t tiles_at_once = 8;  // of 16 to 48 channels: their transforms fill the first-level cache

// Where a tile's outputs begin.
struct Corner {
  int64_t image, row, column;
  Corner(const Geometry& g, int64_t t) {
    const int64_t across = (g.columns + tile - 1) / tile, down = (g.rows + tile - 1) / tile;
    image = t / (across * down);
    row = t / across % down * tile;
    column = t % across * tile;
  }
};

int64_t tiles_of(const Geometry& g) { return (g.rows + tile - 1) / tile * ((g.columns + tile - 1) / tile); }

// Floats between points. An odd number of cache lines: powers of two would share a few sets of the cache.
RIDE_INLINE int64_t point_step(int64_t floats) {
  constexpr int64_t line = 64 / sizeof(float);
  return ((floats + line - 1) / line | 1) * line;
}

struct Layout {  // of scratch
  int64_t tile_step, input_step, product_step, inputs, products, end;
  Layout(const Geometry& g, int64_t tiles)
      : tile_step(padded(g.channels)),
        input_step(point_step(tiles * tile_step)),
        product_step(point_step(tiles * max_vectors * width)),
        inputs(point_step(g.channels)),  // behind a pixel of zeros
        products(inputs + points * input_step),
        end(products + points * product_step) {}
};

// B^T x B of a tile, all channels, point by point `step` floats apart. Pixels outside the image are `zeros`.
template <class T>
void transform_tile(const T* x, const Geometry& g, const Corner& corner, const T* zeros, int64_t step, float* out) {
  const T* from[6][6];
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 6; ++j) {
      const int64_t h = corner.row - 1 + i, w = corner.column - 1 + j;
      const bool inside = h >= 0 && h < g.height && w >= 0 && w < g.width;
      from[i][j] = inside ? x + ((corner.image * g.height + h) * g.width + w) * g.channels : zeros;
    }
  for_vectors(0, g.channels, [&](int64_t c, int64_t count, auto whole) {
    V half[6][6];
    RIDE_UNROLL for (int j = 0; j < 6; ++j) {
      V d[6], o[6];
      RIDE_UNROLL for (int i = 0; i < 6; ++i) d[i] = load_channels<whole.value>(from[i][j] + c, count);
      to_points(d, o);
      RIDE_UNROLL for (int i = 0; i < 6; ++i) half[i][j] = o[i];
    }
    RIDE_UNROLL for (int i = 0; i < 6; ++i) {
      V o[6];
      to_points(half[i], o);
      RIDE_UNROLL for (int j = 0; j < 6; ++j) store(out + (6 * i + j) * step + c, o[j]);
    }
  });
}

// out[p][t] = sum_c v[p][t][c] u[p][c] at every point, for a block of filters.
template <int vectors>
void multiply(const float* v, const float* u, const Layout& layout, int64_t tiles, int64_t channels, float* out) {
  constexpr int most = neighbours_with(vectors);
  for (int p = 0; p < points; ++p, u += channels * vectors * width)
    for_neighbours<most>(tiles, [&](int64_t t, auto count) {
      V sum[count.value][vectors] = {};
      accumulate(v + p * layout.input_step + t * layout.tile_step, layout.tile_step, u, channels, sum);
      float* to = out + p * layout.product_step + t * vectors * width;
      RIDE_UNROLL for (int i = 0; i < count.value; ++i) RIDE_UNROLL for (int n = 0; n < vectors; ++n)
          store(to + (i * vectors + n) * width, sum[i][n]);
    });
}

// A^T m A to those of the tile's outputs that lie inside the image: one vector of filters, of which `count` exist.
template <bool whole, class T>
RIDE_INLINE void store_outputs(const float* m, int64_t step, const Geometry& g, const Corner& corner, int64_t filter,
                               int64_t count, const Work<T>& work) {
  V half[4][6];
  columns_from_points(m, step, half);
  const int64_t rows = g.rows - corner.row, columns = g.columns - corner.column;
  const V bias = load_channels<whole>(work.bias + filter, count);
  int64_t at = ((corner.image * g.rows + corner.row) * g.columns + corner.column) * g.filters + filter;
  RIDE_UNROLL for (int i = 0; i < 4; ++i, at += g.columns * g.filters) {
    if (i >= rows) break;
    V o[4];
    from_points(half[i], o);
    RIDE_UNROLL for (int j = 0; j < 4; ++j) if (j < columns) finish<whole>(work, o[j], bias, at + j * g.filters, count);
  }
}

template <class T>
void forward(const Geometry& g, const Work<T>& work) {
  const Layout layout(g, smaller(tiles_at_once, work.pieces.end - work.pieces.begin));
  T* zeros = reinterpret_cast<T*>(work.scratch);
  for (int64_t c = 0; c < g.channels; ++c) zeros[c] = 0;
  float *inputs = work.scratch + layout.inputs, *products = work.scratch + layout.products;
  for (int64_t t = work.pieces.begin; t < work.pieces.end; t += tiles_at_once) {
    const int64_t tiles = smaller(tiles_at_once, work.pieces.end - t);
    for (int64_t i = 0; i < tiles; ++i)
      transform_tile(work.x, g, Corner(g, t + i), zeros, layout.input_step, inputs + i * layout.tile_step);
    for (int64_t b = work.blocks.begin; b < work.blocks.end; ++b) {
      const Block block = block_at(g.filters, b);
      const float* u = work.weights + points * g.channels * block.first;
      with_constant<max_vectors>(block.vectors, [&](auto vectors) {
        multiply<vectors.value>(inputs, u, layout, tiles, g.channels, products);
      });
      for (int64_t i = 0; i < tiles; ++i)
        for_vectors(block.first, smaller(g.filters, block.first + block.vectors * width),
                    [&](int64_t k, int64_t count, auto whole) {
                      store_outputs<whole.value>(products + i * block.vectors * width + k - block.first,
                                                 layout.product_step, g, Corner(g, t + i), k, count, work);
                    });
    }
  }
}

// G w G^T, as multiply reads it: block by block of filters, point by point, channel by channel.
void arrange(const float* w, const Geometry& g, float* out) {
  for (int64_t b = 0; b < blocks_of(g.filters); ++b) {
    const Block block = block_at(g.filters, b);
    for (int64_t c = 0; c < g.channels; ++c)
      for (int64_t n = 0; n < block.vectors; ++n) {
        float taps[9][width] = {};
        for (int64_t k = block.first + n * width, l = 0; l < width && k + l < g.filters; ++l)
          for (int i = 0; i < 9; ++i) taps[i][l] = w[((k + l) * g.channels + c) * 9 + i];
        V half[6][3];
        for (int j = 0; j < 3; ++j) {
          V o[6];
          weight_to_points({loadu(taps[j]), loadu(taps[3 + j]), loadu(taps[6 + j])}, o);
          for (int i = 0; i < 6; ++i) half[i][j] = o[i];
        }
        float* to = out + points * g.channels * block.first + (c * block.vectors + n) * width;
        for (int i = 0; i < 6; ++i) {
          V o[6];
          weight_to_points(half[i], o);
          for (int j = 0; j < 6; ++j) store(to + (6 * i + j) * g.channels * block.vectors * width, o[j]);
        }
      }
  }
}

int64_t blocks(const Geometry& g) { return blocks_of(g.filters); }
int64_t arranged(const Geometry& g) { return points * g.channels * padded(g.filters); }
int64_t scratch(const Geometry& g, int64_t tiles) { return Layout(g, smaller(tiles, tiles_at_once)).end; }

}  // namespace

const ConvKernels winograd_kernels = {blocks, tiles_of, arranged, arrange, scratch, forward<float>, forward<bf16>};

}  // namespace RIDE_ISA
}  // namespace engine::cpu::channels
