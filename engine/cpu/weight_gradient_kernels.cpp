// Compiled once per instruction set with RIDE_ISA set to its name; see engine/cpu/row_kernels.cpp for what that asks of
// it.
#include "engine/cpu/weight_gradient_kernels.h"

#include "engine/cpu/lanes/vec.h"

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

namespace engine::cpu {
namespace {

using namespace lanes::RIDE_ISA;

// Two vectors of filters times as many channels as leave the registers room for the two vectors, a broadcast value and
// an address or two: 6 of 16 registers' sets, 8 of 32's (a divisor of most networks' channels).
constexpr int vectors = 2;
constexpr int filters = vectors * width;
constexpr int channels = registers == 16 ? 6 : 8;

template <int panel_width>
void pack(const float* __restrict x, const PixelRow& row, int64_t panel, float* __restrict panels) {
  for (int64_t i = 0; i < row.pixels; ++i, x += row.step, panels += panel_width) {
    float* to = panels;
    int64_t c = 0;
    for (; c + panel_width <= row.channels; c += panel_width, to += panel)
      for (int j = 0; j < panel_width; ++j) to[j] = x[c + j];
    if (c < row.channels)
      for (int j = 0; j < panel_width; ++j) to[j] = c + j < row.channels ? x[c + j] : 0;
  }
}

// The window's sum starts at zero and is added at the end: sums of short sums round less than one long sum.
void accumulate(const PixelWindow& w, const float* __restrict dy, const float* __restrict x, float* __restrict tile) {
  V sums[channels][vectors] = {};
  for (int64_t n = 0; n < w.images; ++n)
    for (int64_t p = 0; p < w.rows; ++p) {
      const float* dy_at = dy + n * w.dy_image + p * w.dy_row;
      const float* x_at = x + n * w.x_image + p * w.x_row;
      for (int64_t q = 0; q < w.columns; ++q, dy_at += filters, x_at += w.x_column) {
        const V first = load(dy_at), second = load(dy_at + width);
        RIDE_UNROLL
        for (int c = 0; c < channels; ++c) {
          const V value = all(x_at[c]);
          sums[c][0] = value * first + sums[c][0];
          sums[c][1] = value * second + sums[c][1];
        }
      }
    }
  RIDE_UNROLL
  for (int c = 0; c < channels; ++c)
    for (int v = 0; v < vectors; ++v) {
      float* at = tile + (c * vectors + v) * width;
      store(at, load(at) + sums[c][v]);
    }
}

}  // namespace

const WeightGradientKernels RIDE_ISA::weight_gradient_kernels = {TEXT(RIDE_ISA), filters,        channels,
                                                                 pack<filters>,  pack<channels>, accumulate};

}  // namespace engine::cpu
