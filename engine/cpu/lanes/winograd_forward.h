// Winograd's forward pass, which is backward-data's too: products over channels at every point, and from them the
// outputs, Y = A^T [ (G w G^T) . (B^T x B) ] A. Included only by winograd_kernels.cpp.
#pragma once
#include "engine/cpu/lanes/winograd_input.h"

namespace engine::cpu::lanes::RIDE_ISA {

// --- products over channels ------------------------------------------------------------------------------------------

constexpr int max_block = registers == 32 ? 8 : 6;
constexpr int64_t product_step = max_block * across * width;  // floats of a point's products

// out[p][k] = sum_c u[p][c][k] v[p][c] at every point, for a block of filters and a bundle of vectors: as many sums as
// fit the registers.
template <int block>
void multiply(const float* u, const float* v, int64_t channels, Ahead& ahead, float* out) {
  for (int p = 0; p < points; ++p, v += Layout(0).point, out += product_step) {
    ahead.step();
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

using Multiply = void (*)(const float*, const float*, int64_t, Ahead&, float*);
#if RIDE_VECTOR_REGISTERS == 32
constexpr Multiply multiply_by[max_block] = {multiply<1>, multiply<2>, multiply<3>, multiply<4>,
                                             multiply<5>, multiply<6>, multiply<7>, multiply<8>};
#else
constexpr Multiply multiply_by[max_block] = {multiply<1>, multiply<2>, multiply<3>,
                                             multiply<4>, multiply<5>, multiply<6>};
#endif

// --- forward ---------------------------------------------------------------------------------------------------------

// What happens to outputs on their way to memory.
enum class Finish { plain, epilogue, moments, gate, gate_result };

constexpr bool gates(Finish finish) { return finish == Finish::gate || finish == Finish::gate_result; }

// Two sums over the outputs in one vector. moments: of y - shift and of its square, with a shift near their mean, which
// keeps the squares from cancelling. gate: of g and of g (x - shift).
struct LaneSums {
  V shift, first, second;
};

// The part of one filter's outputs that lies in one vector.
template <class T>
struct Target {
  T* y;
  const T* residual;  // null without one
  V bias;
  I images;  // all bits in the lanes of images, none in padding
  bool relu;
  int64_t next;  // how far from here the outputs come that are written after the next products
  const T *x = nullptr, *result = nullptr;  // a gate's
  float scale = 1, shift = 0;
};

// `count` values at p are going to be read, or written: a processor would otherwise fetch each line when its first
// store is there, and wait. A hint; p may lie outside.
template <int write, int count, class T>
RIDE_INLINE void prefetch(const T* p) {
  constexpr int line = 64 / sizeof(T);
  RIDE_UNROLL for (int i = 0; i < count; i += line) __builtin_prefetch(p + i, write);
}

// The tile's outputs A^T m A to y, those of its rows and columns that lie inside the image.
template <Finish finish, class T>
RIDE_INLINE void store_outputs(const float* m, const Target<T>& to, LaneSums& sums, int64_t line, int64_t rows,
                               int64_t columns) {
  V half[4][6];
  columns_from_points(m, product_step, half);
  V first = sums.first, second = sums.second;
  const auto put = [&](V v, int64_t at) {
    if constexpr (finish == Finish::epilogue) {
      v += to.bias;
      if (to.residual) v += load(to.residual + at);
      if (to.relu) v = relu(v);
      v = where(to.images, v);
    }
    if constexpr (finish == Finish::moments) {
      const V d = v - sums.shift;
      first += d;
      second += d * d;
    }
    if constexpr (finish == Finish::gate_result) {
      if (to.residual) v += load(to.residual + at);
      v = where(load(to.result + at) > zero(), v);
    }
    if constexpr (gates(finish)) {
      const V x = load(to.x + at);
      // As batch norm computes it, to the last bit.
      if constexpr (finish == Finish::gate) v = where(x * to.scale + all(to.shift) > zero(), v);
      first += v;
      second += v * (x - sums.shift);
    }
    store(to.y + at, v);
  };
  RIDE_UNROLL for (int i = 0; i < 4; ++i) {
    V o[4];
    from_points(half[i], o);
    prefetch<1, tile * lanes>(to.y + i * line + to.next);
    if constexpr (gates(finish)) prefetch<0, tile * lanes>(to.x + i * line + to.next);
    if (rows == tile && columns == tile) {
      RIDE_UNROLL for (int j = 0; j < 4; ++j) put(o[j], i * line + j * lanes);
    } else if (i < rows) {
      for (int j = 0; j < columns; ++j) put(o[j], i * line + j * lanes);
    }
  }
  if constexpr (finish == Finish::moments || gates(finish)) {
    sums.first = first;
    sums.second = second;
  }
}

// The lanes put together. Each has a mean of its own, `lane` away from the first one's shift; their squares split into
// those within the lanes and those between them.
RIDE_INLINE Moments moments_of(const LaneSums (&sums)[parts], const I (&exists)[parts], int64_t pixels,
                               int64_t images) {
  const float base = sums[0].shift[0], n = static_cast<float>(pixels);
  V lane_sum = zero(), lane_squares = zero(), within = zero();
  for (int part = 0; part < parts; ++part) {
    const V step = sums[part].first / n, lane = where(exists[part], sums[part].shift - base + step);
    lane_sum += lane;
    lane_squares += lane * lane;
    within += where(exists[part], sums[part].second - sums[part].first * step);
  }
  float total[4] = {};
  const V parts_of_total[4] = {lane_sum, lane_squares, within, zero()};
  add_sums(parts_of_total, total);
  const double mean = static_cast<double>(total[0]) / static_cast<double>(images);
  return {base + mean, total[2] + static_cast<double>(n) * (total[1] - total[0] * mean)};
}

// The lanes of both sums together.
RIDE_INLINE void sum_lanes(const LaneSums (&sums)[parts], double* two) {
  two[0] = two[1] = 0;
  for (int part = 0; part < parts; ++part)
    for (int lane = 0; lane < width; ++lane) {
      two[0] += sums[part].first[lane];
      two[1] += sums[part].second[lane];
    }
}

// What forward is asked for, without x.
template <class T>
struct Request {
  Plane image;  // of y
  Range tiles;
  int64_t pixels;  // of those tiles
  int64_t images;
  const Outputs<T>& to;
};

// One block of filters over all vectors: products, and from them the outputs, before either leaves the cache.
template <Finish finish, class T>
void multiply_and_store(const float* weights, const float* inputs, int64_t channels, Range filters, Ahead& ahead,
                        float* products, const Request<T>& r) {
  const int64_t columns = Grid(r.image).columns, line = r.image.width * lanes, plane = r.image.height * line;
  const int64_t vectors = (r.tiles.end - r.tiles.begin) * parts, bundle = Layout(channels).bundle;
  LaneSums sums[max_block][parts];
  I images[parts];
  for (int part = 0; part < parts; ++part) images[part] = existing(r.images, part);
  for (int64_t n = 0; n < vectors; n += across, inputs += bundle) {
    multiply_by[filters.end - filters.begin - 1](weights, inputs, channels, ahead, products);
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
        Target<T> to{r.to.y + at, nullptr, zero(), images[part], false, tile * lanes * across / parts};
        if constexpr (finish == Finish::epilogue || finish == Finish::gate_result)
          to.residual = r.to.epilogue && r.to.epilogue->residual ? r.to.epilogue->residual + at : nullptr;
        if constexpr (finish == Finish::epilogue) {
          to.bias = r.to.epilogue->bias ? all(r.to.epilogue->bias[k]) : zero();
          to.relu = r.to.epilogue->relu;
        }
        if constexpr (gates(finish)) {
          if (i < parts) sum = {all(r.to.gate->mean[k]), zero(), zero()};
          to.x = r.to.gate->x + at;
        }
        if constexpr (finish == Finish::gate_result) to.result = r.to.gate->result + at;
        if constexpr (finish == Finish::gate) {
          to.scale = r.to.gate->scale[k];
          to.shift = r.to.gate->shift[k];
        }
        store_outputs<finish>(m, to, sum, line, rows < tile ? rows : tile, wide < tile ? wide : tile);
      }
    }
  }
  if constexpr (finish == Finish::moments)
    for (int64_t k = filters.begin; k < filters.end; ++k)
      r.to.moments[k] = moments_of(sums[k - filters.begin], images, r.pixels, r.images);
  if constexpr (gates(finish))
    for (int64_t k = filters.begin; k < filters.end; ++k) sum_lanes(sums[k - filters.begin], r.to.gate->sums + 2 * k);
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

// All filters: their products with the transformed inputs (of so many channels), and from them the outputs.
template <class T>
void outputs_of(const float* inputs, int64_t channels, const float* weights, const Request<T>& request, Ahead& ahead,
                float* products) {
  const Outputs<T>& to = request.to;
  const auto pass =
      to.gate       ? to.gate->result ? multiply_and_store<Finish::gate_result, T> : multiply_and_store<Finish::gate, T>
            : to.epilogue ? multiply_and_store<Finish::epilogue, T>
      : to.moments  ? multiply_and_store<Finish::moments, T>
                    : multiply_and_store<Finish::plain, T>;
  for_blocks(request.image.channels, max_block, [&](int64_t first, int64_t end) {
    pass(weights + points * first * channels, inputs, channels, {first, end}, ahead, products, request);
  });
}
// How many steps ahead that makes.
RIDE_INLINE int64_t output_steps(int64_t filters, Range tiles) {
  return points * blocks_of(filters, max_block) * bundles_of((tiles.end - tiles.begin) * parts);
}

template <class T>
int64_t forward(const Source<T>& x, const float* weights, int64_t filters, Range tiles, int64_t images, float* scratch,
                const Outputs<T>& outputs) {
  const Plane in = x.plane;
  float* products = scratch + input_scratch(in);
  float* inputs = products + points * product_step;
  transform_inputs(x, tiles, Layout(in.channels), scratch, inputs);
  Ahead ahead(tiles);
  ahead.add(x);
  ahead.in_steps(output_steps(filters, tiles));
  const int64_t pixels = pixels_of(in, tiles);
  outputs_of<T>(inputs, in.channels, weights, {{filters, in.height, in.width}, tiles, pixels, images, outputs}, ahead,
                products);
  return pixels * images;
}

inline int64_t forward_scratch(Plane in, int64_t tiles) {
  return input_scratch(in) + points * product_step + bundles_of(tiles * parts) * Layout(in.channels).bundle;
}

}  // namespace engine::cpu::lanes::RIDE_ISA
