// The inner loops of a convolution's weight gradient over channels_last images, over plain pointers. One source
// (weight_gradient_kernels.cpp) is compiled once per instruction set; weight_gradient_kernels() is the best one this
// processor has.
//
// A panel holds some channels of every pixel side by side: `filters` of dy's, `channels` of x's. A tile of the
// gradient, channels x filters of one tap, then fits the registers, and every step of the loop over the pixels reads
// two consecutive addresses, whatever the tensors' channels are. (In the tensors themselves the pixels lie a power of
// two apart and would fight for a few sets of the cache.)
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"

namespace engine::cpu {

// The pixels whose products are summed, and the floats from one to the next in the two panels.
struct PixelWindow {
  int64_t images, rows, columns;  // of y
  int64_t dy_image, dy_row;
  int64_t x_image, x_row, x_column;
};

// Pixels of one row of an image.
struct PixelRow {
  int64_t pixels, step, channels;
};

struct WeightGradientKernels {
  const char* isa;
  int64_t filters, channels;  // widths of the panels of dy and x

  // panels[p][i][c] = x[i][p * width + c] for `pixels` pixels i, `step` floats apart in x, and every panel p, `panel`
  // floats apart; zeros beyond x's channels.
  void (*pack_filters)(const float* x, const PixelRow& row, int64_t panel, float* panels);
  void (*pack_channels)(const float* x, const PixelRow& row, int64_t panel, float* panels);

  // tile[c][f] += sum over the window's pixels of x[pixel][c] dy[pixel][f]
  void (*accumulate)(const PixelWindow& window, const float* dy, const float* x, float* tile);
};

RIDE_PER_ISA(WeightGradientKernels, weight_gradient_kernels)

}  // namespace engine::cpu
