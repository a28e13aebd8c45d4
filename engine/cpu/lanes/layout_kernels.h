// Moves images between their own memory and the lanes of batch_lanes, the transposition behind every conversion into
// and out of the format, and from lanes to other lanes; all over plain pointers. One source (layout_kernels.cpp) is
// compiled once per instruction set.
#pragma once
#include <cstdint>

#include "engine/cpu/isa.h"

namespace engine::cpu {

// Where element i of an image, counted in the image's own memory, has its sixteen lanes in a group:
// i % inner * inner_step + i / inner * outer_step.
struct LanePlaces {
  int64_t inner, inner_step, outer_step;
};

// Where the sixteen lanes of a new group come from.
struct LaneSources {
  int count = 0;         // of groups that any come from, at most 16
  int64_t group[16];     // where each begins
  int32_t lane[16][16];  // [s][k]: the lane of group s that becomes lane k; negative: another group's does, or none
};

// The images of one group: image k starts at image_stride * k elements; `count` of them, 1 to 16, exist.
template <class T>
struct LayoutFunctions {
  // group[place(i)][k] = images[k][i] for first <= i < end; zero in the lanes of images that don't exist.
  void (*to_lanes)(const T* images, int64_t image_stride, int count, int64_t first, int64_t end, LanePlaces places,
                   T* group);
  // images[k][i] = group[place(i)][k]
  void (*from_lanes)(const T* group, LanePlaces places, int64_t first, int64_t end, T* images, int64_t image_stride,
                     int count);
  // y[i][k] = x[sources.group[s] + i][sources.lane[s][k]] for first <= i < end; zero in lanes that come from nowhere.
  void (*select)(const T* x, const LaneSources& sources, int64_t first, int64_t end, T* y);
};

struct LayoutKernels {
  const char* isa;
  LayoutFunctions<float> f32;
  LayoutFunctions<uint16_t> bits16;  // any type of 16 bits
};

RIDE_PER_ISA(LayoutKernels, layout_kernels)

}  // namespace engine::cpu
