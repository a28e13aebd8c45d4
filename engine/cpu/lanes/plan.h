// What the lane kernels' planners share.
#pragma once
#include <initializer_list>

#include "engine/core/tensor.h"

namespace engine::cpu::lanes {

inline constexpr int64_t lanes = images_per_group;

// Bytes of a core's second-level cache; 512 KiB where the system doesn't say.
int64_t cache_bytes();

// Keys of the copies of ConstantWeights that the lanes' kernels make.
inline constexpr int64_t winograd_weights = -1, direct_weights = -2;

// Tells the profiler of a convolution with outputs like y: 2 |y| taps operations of the direct algorithm, and the bytes
// of the operands.
void count_convolution(const Tensor& y, int64_t taps, std::initializer_list<const Tensor*> operands);

}  // namespace engine::cpu::lanes
