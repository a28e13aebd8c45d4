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
class Ahead {
 public:
  explicit Ahead(Range tiles) : tiles_(tiles) {}

  // What `tiles` are being read of. What follows the last tiles is the next group, perhaps of another thread or none:
  // then this is in vain, and does no harm.
  template <class T>
  void add(const T* x, Plane plane) {
    const int64_t columns = Grid(plane).columns, all = Grid(plane).rows * columns;
    if (tiles_.end % columns != 0) return;
    const int64_t line = plane.width * lanes * static_cast<int64_t>(sizeof(T));
    const char* from = reinterpret_cast<const char*>(x);
    int64_t first = 0;  // row of pixels
    if (tiles_.end < all)
      first = tile * (tiles_.end / columns) + 1;  // the one before is known
    else
      from += plane.channels * plane.height * line;
    const int64_t rows = tile * ((tiles_.end - tiles_.begin + columns - 1) / columns), rest = plane.height - first;
    const int64_t size = (rows < rest ? rows : rest) * line;
    if (size < 64) return;
    streams_[count_++] = {from + first * line, from + first * line + size, size, plane.height * line - size,
                          plane.channels * size / 64};
  }
  template <class T>
  void add(const Source<T>& source) {
    add(source.x, source.plane);
    if (source.prologue && source.prologue->other) add(source.prologue->other, source.plane);
  }
  // So many calls of step() are to come.
  void in_steps(int64_t steps) {
    int64_t lines = 0;
    for (int i = 0; i < count_; ++i) lines += streams_[i].left;
    at_a_time_ = steps > 0 ? (lines + steps - 1) / steps : lines;
  }
  RIDE_INLINE void step() {
    for (int64_t i = 0; i < at_a_time_ && now_ < count_; ++i) {
      Stream& s = streams_[now_];
      __builtin_prefetch(s.at, 0, 2);
      s.at += 64;
      if (s.at >= s.end) {
        s.at += s.skip;
        s.end += s.skip + s.size;
      }
      if (--s.left == 0) ++now_;
    }
  }

 private:
  struct Stream {
    const char *at, *end;  // of a channel's rows
    int64_t size, skip;    // bytes of them, and from there to the next channel's
    int64_t left;          // lines
  };
  Range tiles_;
  Stream streams_[4];
  int count_ = 0, now_ = 0;
  int64_t at_a_time_ = 0;  // lines
};

// --- x to points -----------------------------------------------------------------------------------------------------

// How a source is read.
enum class Read { plain, normalised, gradient };

template <class T>
RIDE_INLINE Read read_of(const Source<T>& source) {
  return !source.prologue ? Read::plain : source.prologue->other ? Read::gradient : Read::normalised;
}

// A prologue's constants for one channel, zeros in the lanes of no image.
struct Constants {
  V scale[parts], shift[parts], factor[parts];
};

template <Read read, class T>
RIDE_INLINE void set_constants(const Source<T>& source, int64_t channel, Constants& c) {
  if constexpr (read != Read::plain)
    for (int part = 0; part < parts; ++part) {
      const V mask = where(existing(source.prologue->images, part), all(1));
      c.scale[part] = source.prologue->scale[channel] * mask;
      c.shift[part] = source.prologue->shift[channel] * mask;
      if constexpr (read == Read::gradient) c.factor[part] = source.prologue->factor[channel] * mask;
    }
}

// A pixel's value, as the batch norm computes it.
template <Read read, class T>
RIDE_INLINE V read_pixel(const T* x, const T* other, const Constants& c, int part) {
  const V v = load(x);
  if constexpr (read == Read::normalised) return relu(v * c.scale[part] + c.shift[part]);
  if constexpr (read == Read::gradient) return v * c.scale[part] + (load(other) * c.factor[part] + c.shift[part]);
  return v;
}

// Where rows are transformed on their way.
template <class T>
struct Rows {
  const T* zeros;  // a row of them
  float* six;      // room for six transformed rows
};

// B^T x B of the tiles [first, last) of one row of tiles, one channel: its vectors `before` and following.
template <Read read, class T>
void transform_input(const Source<T>& source, const Rows<T>& room, int64_t tile_row, int64_t first, int64_t last,
                     const Layout& layout, int64_t channel, int64_t before, float* out) {
  const Plane plane = source.plane;
  const int64_t line = plane.width * lanes, skip = row_stride(plane);
  const T *from[6] = {}, *other[6] = {};
  bool inside[6];
  for (int i = 0; i < 6; ++i) {
    const int64_t h = tile * tile_row - 1 + i, at = (channel * plane.height + h) * line;
    inside[i] = h >= 0 && h < plane.height;
    from[i] = inside[i] ? source.x + at : room.zeros;
    if constexpr (read == Read::gradient) other[i] = inside[i] ? source.prologue->other + at : room.zeros;
  }
  Constants constants;
  set_constants<read>(source, channel, constants);
  // Down the columns: pixels 4 first - 1 to 4 last of the row, those outside the image being zero.
  const int64_t left = tile * first - 1, right = tile * last + 1;
  const int64_t begin = left < 0 ? 0 : left, end = right > plane.width ? plane.width : right;
  float* rows = room.six;
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
        d[i] = read_pixel<read>(from[i] + at + part * width, other[i] + at + part * width, constants, part);
        // Outside the image there is nothing to normalise.
        if constexpr (read != Read::plain) d[i] = inside[i] ? d[i] : zero();
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
void transform_inputs(const Source<T>& source, Range tiles, const Layout& layout, float* scratch, float* out) {
  T* zeros = reinterpret_cast<T*>(scratch + 6 * row_stride(source.plane));
  for (int64_t at = 0; at < source.plane.width * lanes; at += width) store(zeros + at, zero());
  const Rows<T> room{zeros, scratch};
  clear_spare(out, layout, (tiles.end - tiles.begin) * parts);
  const Read read = read_of(source);
  const auto transform = read == Read::plain        ? transform_input<Read::plain, T>
                         : read == Read::normalised ? transform_input<Read::normalised, T>
                                                    : transform_input<Read::gradient, T>;
  for_rows(tiles, Grid(source.plane).columns, [&](int64_t row, int64_t first, int64_t last, int64_t before) {
    for (int64_t c = 0; c < source.plane.channels; ++c)
      transform(source, room, row, first, last, layout, c, before, out);
  });
}

// Floats of its scratch: six transformed rows and a row of zeros.
RIDE_INLINE int64_t input_scratch(Plane plane) { return 7 * row_stride(plane); }

}  // namespace engine::cpu::lanes::RIDE_ISA
