// Winograd's inputs: B^T x B of a run of tiles, perhaps of a batch norm's output that is made as it is read, and how
// transformed values lie in memory. Included only by winograd_kernels.cpp.
#pragma once
#include "engine/cpu/lanes/winograd_kernels.h"
#include "engine/cpu/lanes/winograd_transforms.h"

namespace engine::cpu::lanes::RIDE_ISA {

// --- where transformed values lie ------------------------------------------------------------------------------------

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

// f(first, end) for nearly even blocks of at most `most` filters, so that no number of them wastes registers.
RIDE_INLINE int64_t blocks_of(int64_t filters, int64_t most) { return (filters + most - 1) / most; }
template <class F>
RIDE_INLINE void for_blocks(int64_t filters, int64_t most, F&& f) {
  const int64_t blocks = blocks_of(filters, most);
  for (int64_t block = 0; block < blocks; ++block) f(filters * block / blocks, filters * (block + 1) / blocks);
}

// --- what the next run of tiles will read ----------------------------------------------------------------------------

// Asked for, a few cache lines at a time, while the products of this run keep the arithmetic busy and the memory idle.
struct Ahead {
  const char *at, *end;     // of a channel's rows
  int64_t size, skip;       // bytes of them, and from there to the next channel's
  int64_t left, at_a_time;  // lines

  // One group's planes at x, of which `tiles` are being read, in `steps` steps. What follows the last tiles is the next
  // group, perhaps of another thread or none: then this is in vain, and does no harm.
  template <class T>
  Ahead(const T* x, Plane plane, Range tiles, int64_t steps) {
    const int64_t columns = Grid(plane).columns, all = Grid(plane).rows * columns;
    const int64_t line = plane.width * lanes * static_cast<int64_t>(sizeof(T));
    const char* from = reinterpret_cast<const char*>(x);
    int64_t first = 0;  // row of pixels
    if (tiles.end < all)
      first = tile * (tiles.end / columns) + 1;  // the one before is known
    else
      from += plane.channels * plane.height * line;
    const int64_t rows = tile * ((tiles.end - tiles.begin + columns - 1) / columns), rest = plane.height - first;
    size = (rows < rest ? rows : rest) * line;
    skip = plane.height * line - size;
    at = from + first * line;
    end = at + size;
    left = tiles.end % columns == 0 ? plane.channels * size / 64 : 0;
    at_a_time = steps > 0 ? (left + steps - 1) / steps : left;
  }
  RIDE_INLINE void step() {
    if (left <= 0) return;
    for (int64_t i = 0; i < at_a_time; ++i, at += 64) {
      if (at >= end) {
        at += skip;
        end += skip + size;
      }
      __builtin_prefetch(at, 0, 2);
    }
    left -= at_a_time;
  }
};

// --- x to points -----------------------------------------------------------------------------------------------------

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
  const int64_t point = layout.point;
  for (int64_t t = first; t < last; ++t, rows += tile * lanes)
    for (int part = 0; part < parts; ++part) {
      float* to = layout.at(out, channel, before + (t - first) * parts + part);
      for (int i = 0; i < 6; ++i, to += 6 * point) {
        V d[6], o[6];
        RIDE_UNROLL for (int j = 0; j < 6; ++j) d[j] = load(rows + i * skip + j * lanes + part * width);
        to_points(d, o);
        RIDE_UNROLL for (int j = 0; j < 6; ++j) store(to + j * point, o[j]);
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

}  // namespace engine::cpu::lanes::RIDE_ISA
