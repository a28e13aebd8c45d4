// dw[k, c, r, s] = sum over n, p, q of dy[n, k, p, q] x[n, c, p stride + r - padding, q stride + s - padding]
//
// A product of matrices with the pixels as the inner dimension, blocked as such products are. Some images or rows at a
// time (a chunk) are packed into panels of a few channels (weight_gradient_kernels.h). Of a chunk, pixels whose two
// panels fit the first-level cache (a block) are multiplied tap by tap, with as many of x's panels as fit the second
// level going by. A tile of dw belongs to one thread, which adds to it in the order of the pixels: nothing to merge,
// and the same sums on any number of threads.
#include "engine/cpu/weight_gradient.h"

#include <vector>

#include "engine/core/parallel.h"
#include "engine/cpu/weight_gradient_kernels.h"

namespace engine::cpu {
namespace {

constexpr int64_t chunk_floats = int64_t{1} << 18;  // 1 MiB of packed pixels
constexpr int64_t block_pixels = 256;               // 22 KiB of two panels with AVX2
constexpr int64_t group_floats = int64_t{1} << 15;  // 128 KiB of x's panels

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// At least `floats`, in an odd number of cache lines: panels that lie so far apart never fight for the same sets.
int64_t odd_lines(int64_t floats) { return (divide_up(floats, 16) | 1) * 16; }

struct Range {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
};

// Rows of some images of y.
struct Piece {
  Range images, rows;
};

// Cuts a piece into pieces of about `pixels` pixels: some images each, or some rows of one.
std::vector<Piece> cut(const Piece& whole, int64_t width, int64_t pixels) {
  const int64_t images = std::clamp<int64_t>(pixels / (whole.rows.size() * width), 1, whole.images.size());
  const int64_t rows = std::clamp<int64_t>(pixels / width, 1, whole.rows.size());
  std::vector<Piece> pieces;
  for (int64_t n = whole.images.begin; n < whole.images.end; n += images)
    for (int64_t p = whole.rows.begin; p < whole.rows.end; p += rows)
      pieces.push_back({{n, std::min(n + images, whole.images.end)}, {p, std::min(p + rows, whole.rows.end)}});
  return pieces;
}

// One axis of the convolution: output p at tap r reads input p stride + r dilation - padding.
struct Axis {
  int64_t outputs, inputs, stride, dilation, padding, taps;

  int64_t offset(int64_t tap) const { return tap * dilation - padding; }
  // Outputs that find an input at that tap.
  Range outputs_of(int64_t tap) const {
    const int64_t from = offset(tap);
    return {from < 0 ? divide_up(-from, stride) : 0,
            std::min(outputs, from < inputs ? divide_up(inputs - from, stride) : 0)};
  }
  // Inputs that a range of outputs reaches.
  Range inputs_of(const Range& o) const {
    const int64_t begin = std::clamp<int64_t>(o.begin * stride + offset(0), 0, inputs);
    return {begin, std::clamp((o.end - 1) * stride + offset(taps - 1) + 1, begin, inputs)};
  }
};

// Images in memory, and where their panels go.
struct Packed {
  const float* images;
  int64_t height, width, channels;  // in memory
  int64_t step;                     // every step-th row and column is packed
  int64_t panels, panel_width;
  Tensor floats;        // (panels, pixels of a chunk, panel_width)
  Range rows = {0, 0};  // of the current chunk, counted in steps

  int64_t columns() const { return divide_up(width, step); }
  int64_t pixels() const { return rows.size() * columns(); }  // of an image of the chunk
  float* panel(int64_t i) const { return floats.data<float>() + i * floats.size(1); }
};

class WeightGradient {
 public:
  WeightGradient(const Tensor& dy, const Tensor& x, const Shape& w, const Conv2dOptions& o)
      : images_(x.size(0)),
        // Of a 1x1 kernel's input only what it reads is packed, so that it has no stride afterwards.
        down_{dy.size(2), x.size(2), o.stride.h, o.dilation.h, o.padding.h, w[2]},
        right_{dy.size(3), x.size(3), o.stride.w, o.dilation.w, o.padding.w, w[3]},
        w_(w) {
    const auto side = [](const Tensor& t, int64_t panel_width) {
      return Packed{.images = t.data<float>(),
                    .height = t.size(2),
                    .width = t.size(3),
                    .channels = t.size(1),
                    .step = 1,
                    .panels = divide_up(t.size(1), panel_width),
                    .panel_width = panel_width,
                    .floats = {}};
    };
    dy_ = side(dy, kernels_.filters);
    x_ = side(x, kernels_.channels);
    const bool point = w[2] == 1 && w[3] == 1 && o.padding == Pair(0) && o.stride.h == o.stride.w;
    if (point) {
      x_.step = o.stride.h;
      down_ = {dy.size(2), dy.size(2), 1, 1, 0, 1};
      right_ = {dy.size(3), dy.size(3), 1, 1, 0, 1};
    }
    tiles_ = Tensor::zeros({dy_.panels, x_.panels, w[2] * w[3], kernels_.channels * kernels_.filters});
  }

  Tensor run() {
    const Piece batch{{0, images_}, {0, down_.outputs}};
    const int64_t pixel_floats =
        dy_.panels * dy_.panel_width + x_.panels * x_.panel_width * down_.stride * right_.stride;
    for (const Piece& chunk : cut(batch, right_.outputs, std::max(block_pixels, chunk_floats / pixel_floats))) {
      pack(dy_, chunk.images, chunk.rows);
      pack(x_, chunk.images, down_.inputs_of(chunk.rows));
      multiply(chunk);
    }
    return unpacked();
  }

 private:
  void pack(Packed& side, const Range& images, const Range& rows) const {
    side.rows = rows;
    const Shape shape{side.panels, odd_lines(images.size() * side.pixels() * side.panel_width)};
    if (!side.floats.defined() || side.floats.shape() != shape) side.floats = Tensor::empty(shape);
    const PixelRow row{side.columns(), side.step * side.channels, side.channels};
    const auto pack_row = side.panel_width == kernels_.filters ? kernels_.pack_filters : kernels_.pack_channels;
    parallel_for(images.size() * rows.size(), 1, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) {
        const int64_t n = images.begin + i / rows.size(), p = (rows.begin + i % rows.size()) * side.step;
        pack_row(side.images + (n * side.height + p) * side.width * side.channels, row, side.floats.size(1),
                 side.panel(0) + i * row.pixels * side.panel_width);
      }
    });
  }

  void multiply(const Piece& chunk) const {
    const std::vector<Piece> blocks = cut(chunk, right_.outputs, block_pixels);
    const int64_t block_floats = std::min(block_pixels, chunk.images.size() * x_.pixels()) * x_.panel_width;
    const int64_t wanted = divide_up(2 * num_threads(), dy_.panels);  // so that every thread has some
    const int64_t groups =
        std::clamp<int64_t>(divide_up(x_.panels * block_floats, group_floats), std::min(wanted, x_.panels), x_.panels);
    parallel_for(groups * dy_.panels, 1, [&](int64_t task, int64_t end) {
      for (; task < end; ++task) {
        const int64_t group = task / dy_.panels, k = task % dy_.panels;
        for (const Piece& block : blocks)
          for (int64_t c = x_.panels * group / groups; c < x_.panels * (group + 1) / groups; ++c)
            add(chunk, block, k, c);
      }
    });
  }

  // One block's products of a panel of dy and one of x, for every tap.
  void add(const Piece& chunk, const Piece& block, int64_t k, int64_t c) const {
    float* tile = tiles_.data<float>() + (k * x_.panels + c) * tiles_.size(2) * tiles_.size(3);
    for (int64_t r = 0; r < down_.taps; ++r) {
      Range rows = down_.outputs_of(r);
      rows = {std::max(rows.begin, block.rows.begin), std::min(rows.end, block.rows.end)};
      for (int64_t s = 0; s < right_.taps; ++s, tile += tiles_.size(3)) {
        const Range columns = right_.outputs_of(s);
        if (rows.size() <= 0 || columns.size() <= 0) continue;
        const int64_t n = block.images.begin - chunk.images.begin;
        const int64_t dy_at = n * dy_.pixels() + (rows.begin - dy_.rows.begin) * dy_.columns() + columns.begin;
        const int64_t x_row = rows.begin * down_.stride + down_.offset(r) - x_.rows.begin;
        const int64_t x_at = n * x_.pixels() + x_row * x_.columns() + columns.begin * right_.stride + right_.offset(s);
        kernels_.accumulate(window(block.images.size(), rows, columns), dy_.panel(k) + dy_at * dy_.panel_width,
                            x_.panel(c) + x_at * x_.panel_width, tile);
      }
    }
  }

  // Rows and images that follow one another in both panels are taken as one row.
  PixelWindow window(int64_t images, const Range& rows, const Range& columns) const {
    PixelWindow w{.images = images,
                  .rows = rows.size(),
                  .columns = columns.size(),
                  .dy_image = dy_.pixels() * dy_.panel_width,
                  .dy_row = dy_.columns() * dy_.panel_width,
                  .x_image = x_.pixels() * x_.panel_width,
                  .x_row = down_.stride * x_.columns() * x_.panel_width,
                  .x_column = right_.stride * x_.panel_width};
    if (w.dy_row != w.columns * dy_.panel_width || w.x_row != w.columns * w.x_column) return w;
    w.columns *= w.rows;
    w.rows = 1;
    if (w.dy_image != w.columns * dy_.panel_width || w.x_image != w.columns * w.x_column) return w;
    w.columns *= w.images;
    w.images = 1;
    return w;
  }

  // From tiles (K / filters, C / channels, taps, channels, filters) to (K, C, R, S). A few panels of x together, so
  // that whole cache lines are written.
  Tensor unpacked() const {
    const Tensor dw = Tensor::empty(w_);
    const int64_t strip = std::max<int64_t>(1, 8 / tiles_.size(2)), strips = divide_up(x_.panels, strip);
    parallel_for(dy_.panels * strips, 4, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) {
        const int64_t k = i / strips, c = i % strips * strip;
        unpack(k, {c, std::min(c + strip, x_.panels)}, dw.data<float>());
      }
    });
    return dw;
  }

  void unpack(int64_t dy_panel, const Range& x_panels, float* dw) const {
    const int64_t taps = tiles_.size(2), filters = kernels_.filters, tile = kernels_.channels * filters;
    const int64_t first = x_panels.begin * kernels_.channels, last = std::min(x_panels.end * kernels_.channels, w_[1]);
    const float* from = tiles_.data<float>() + (dy_panel * x_.panels + x_panels.begin) * taps * tile;
    for (int64_t k = 0; k < std::min(filters, w_[0] - dy_panel * filters); ++k) {
      float* out = dw + ((dy_panel * filters + k) * w_[1] + first) * taps;
      for (int64_t c = 0; c < last - first; ++c) {
        const float* values = from + c / kernels_.channels * taps * tile + c % kernels_.channels * filters + k;
        for (int64_t t = 0; t < taps; ++t) *out++ = values[t * tile];
      }
    }
  }

  const WeightGradientKernels& kernels_ = weight_gradient_kernels();
  int64_t images_;
  Axis down_, right_;
  Shape w_;
  Packed dy_, x_;
  Tensor tiles_;
};

}  // namespace

bool weight_gradient_covers(const Tensor& x, const Shape& w_shape, const Conv2dOptions& options) {
  return isa() != Isa::avx512 && x.dtype() == DType::f32 && x.rank() == 4 && x.is_dense(MemoryFormat::channels_last) &&
         options.groups == 1 && w_shape[0] >= 16 && w_shape[1] >= 16;
}

Tensor weight_gradient(const Tensor& dy, const Tensor& x, const Shape& w_shape, const Conv2dOptions& options) {
  return WeightGradient(dy, x, w_shape, options).run();
}

}  // namespace engine::cpu
