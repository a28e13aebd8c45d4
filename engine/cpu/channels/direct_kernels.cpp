// Compiled once per instruction set.
//
//   y[p, q, k] = sum over r, s, c of x[p stride + r - padding, q stride + s - padding, c] w[k, c, r, s]
//
// The rows of x that some rows of y read are copied into a band with a border of zeros. An output's window is then
// kernel_rows runs of kernel_columns * channels neighbouring floats.
#include "engine/cpu/channels/blocks.h"

namespace engine::cpu::channels {
namespace RIDE_ISA {
namespace {

constexpr int64_t rows_at_once = 4;

int64_t band_columns(const Geometry& g) { return (g.columns - 1) * g.stride_columns + g.kernel_columns; }
int64_t band_rows(const Geometry& g, int64_t rows) { return (rows - 1) * g.stride_rows + g.kernel_rows; }

// The band of rows [first, first + rows) of x, first perhaps outside it.
template <class T>
void pack(const T* x, const Geometry& g, int64_t first, int64_t rows, float* band) {
  const int64_t columns = band_columns(g), inside = smaller(g.width, columns - g.padding_columns) * g.channels;
  const int64_t left = smaller(g.padding_columns, columns) * g.channels;
  for (int64_t r = 0; r < rows; ++r, band += columns * g.channels) {
    const int64_t h = first + r;
    int64_t at = 0;
    if (h >= 0 && h < g.height && inside > 0) {
      for (; at < left; ++at) band[at] = 0;
      const T* from = x + h * g.width * g.channels;
      for_vectors(0, inside, [&](int64_t i, int64_t count, auto whole) {
        store_channels<whole.value>(band + at + i, load_channels<whole.value>(from + i, count), count);
      });
      at += inside;
    }
    for (; at < columns * g.channels; ++at) band[at] = 0;
  }
}

// A row of y for one block of filters; `y` is its place.
template <int vectors, class T>
void convolve_row(const float* band, const float* weights, const Geometry& g, int64_t filter, int64_t y,
                  const Work<T>& work) {
  const int64_t step = g.stride_columns * g.channels, line = band_columns(g) * g.channels;
  const int64_t run = g.kernel_columns * g.channels;
  for_neighbours<neighbours_with(vectors)>(g.columns, [&](int64_t q, auto count) {
    V sum[count.value][vectors] = {};
    for (int64_t r = 0; r < g.kernel_rows; ++r)
      accumulate(band + q * step + r * line, step, weights + r * run * vectors * width, run, sum);
    // A loop over the vectors with constant bounds, so that the sums stay in registers.
    RIDE_UNROLL for (int n = 0; n < vectors; ++n) {
      const int64_t k = filter + n * width, rest = g.filters - k;
      const auto put = [&](auto whole) {
        const V bias = load_channels<whole.value>(work.bias + k, rest);
        RIDE_UNROLL for (int i = 0; i < count.value; ++i)
            finish<whole.value>(work, sum[i][n], bias, y + (q + i) * g.filters + k, rest);
      };
      if (rest >= width)
        put(Flag<true>{});
      else
        put(Flag<false>{});
    }
  });
}

template <class T>
void forward(const Geometry& g, const Work<T>& work) {
  for (int64_t row = work.pieces.begin, rows = 0; row < work.pieces.end; row += rows) {
    const int64_t image = row / g.rows, p = row % g.rows;
    rows = smaller(rows_at_once, smaller(g.rows - p, work.pieces.end - row));
    pack(work.x + image * g.height * g.width * g.channels, g, p * g.stride_rows - g.padding_rows, band_rows(g, rows),
         work.scratch);
    for (int64_t b = work.blocks.begin; b < work.blocks.end; ++b) {
      const Block block = block_at(g.filters, b);
      const float* weights = work.weights + g.kernel_rows * g.kernel_columns * g.channels * block.first;
      with_constant<max_vectors>(block.vectors, [&](auto vectors) {
        for (int64_t i = 0; i < rows; ++i)
          convolve_row<vectors.value>(work.scratch + i * g.stride_rows * band_columns(g) * g.channels, weights, g,
                                      block.first, (row + i) * g.columns * g.filters, work);
      });
    }
  }
}

// Block by block of filters, tap by tap, channel by channel.
void arrange(const float* w, const Geometry& g, float* out) {
  const int64_t taps = g.kernel_rows * g.kernel_columns;
  for (int64_t b = 0; b < blocks_of(g.filters); ++b) {
    const Block block = block_at(g.filters, b);
    for (int64_t tap = 0; tap < taps; ++tap)
      for (int64_t c = 0; c < g.channels; ++c)
        for (int64_t k = block.first; k < block.first + block.vectors * width; ++k)
          *out++ = k < g.filters ? w[(k * g.channels + c) * taps + tap] : 0;
  }
}

int64_t blocks(const Geometry& g) { return blocks_of(g.filters); }
int64_t rows_of(const Geometry& g) { return g.rows; }
int64_t arranged(const Geometry& g) { return g.kernel_rows * g.kernel_columns * g.channels * padded(g.filters); }
int64_t scratch(const Geometry& g, int64_t rows) {
  return band_rows(g, smaller(rows, rows_at_once)) * band_columns(g) * g.channels;
}

}  // namespace

const ConvKernels direct_kernels = {blocks, rows_of, arranged, arrange, scratch, forward<float>, forward<bf16>};

}  // namespace RIDE_ISA
}  // namespace engine::cpu::channels
