// Compiled once per instruction set. Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016),
// with the points 0, 1, -1, 2, -2; 4x4 outputs from a 6x6 tile:
//
//   forward          Y = A^T [ (G w G^T) . (B^T x B) ] A, . summed over channels               winograd_forward.h
//   backward-data    dX = A^T [ (G w' G^T) . (B^T dY B) ] A, . summed over filters             winograd_backward.h
//   backward-weight  dw' = G^T [ sum over tiles (A x A^T) . (B^T dY B) ] G
//
// w' being w turned by half a turn.
// Here are the weights: U = G w G^T, and dw from its 36 products.
#include "engine/cpu/lanes/winograd_kernels.h"

#include "engine/cpu/lanes/winograd_backward.h"
#include "engine/cpu/lanes/winograd_forward.h"

namespace engine::cpu::lanes::RIDE_ISA {
namespace {

// As multiply reads them: block by block of filters, point by point, channel by channel. `width` filters at a time.
void transform_weights(const float* w, int64_t filters, int64_t channels, bool flipped, Range range, float* out) {
  const int64_t filter_step = flipped ? 9 : 9 * channels, channel_step = flipped ? 9 * filters : 9;
  for_blocks(filters, max_block, [&](int64_t begin, int64_t end) {
    const int64_t size = end - begin;
    for (int64_t k = 0; k < size; k += width) {
      const int64_t count = size - k < width ? size - k : width;
      alignas(64) float taps[9][width] = {};
      for (int64_t c = range.begin; c < range.end; ++c) {
        const float* from = w + (begin + k) * filter_step + c * channel_step;
        for (int64_t l = 0; l < count; ++l, from += filter_step)
          for (int i = 0; i < 9; ++i) taps[flipped ? 8 - i : i][l] = from[i];
        V half[6][3];
        RIDE_UNROLL for (int j = 0; j < 3; ++j) {
          V g[3], o[6];
          RIDE_UNROLL for (int i = 0; i < 3; ++i) g[i] = load(taps[3 * i + j]);
          weight_to_points(g, o);
          RIDE_UNROLL for (int i = 0; i < 6; ++i) half[i][j] = o[i];
        }
        float* to = out + points * begin * channels + c * size + k;
        RIDE_UNROLL for (int i = 0; i < 6; ++i) {
          V o[6];
          weight_to_points(half[i], o);
          RIDE_UNROLL for (int j = 0; j < 6; ++j) store_some(to + (6 * i + j) * size * channels, o[j], count);
        }
      }
    }
  });
}

// dw of `width` neighbouring (channel, filter) pairs at a time.
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
        for (int64_t l = 0; l < count; ++l) {
          const int64_t channel = (at + l) / filters, filter = (at + l) % filters;
          dw[(filter * channels + channel) * 9 + 8 - (3 * i + j)] = o[j][l];
        }
    }
  }
}

}  // namespace

const WinogradKernels winograd_kernels = {forward_scratch,
                                          backward_scratch,
                                          transform_weights,
                                          untransform_weights,
                                          {forward<float>, backward<float>},
                                          {forward<bf16>, backward<bf16>}};

}  // namespace engine::cpu::lanes::RIDE_ISA
