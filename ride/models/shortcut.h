// The parameter-free shortcut of CIFAR ResNets (He et al. 2016, option A).
#pragma once
#include "engine/core/tensor.h"

namespace ride {

// x (N, C, H, W) -> (N, planes, ceil(H/stride), ceil(W/stride)): every stride-th pixel, with zero channels added in
// equal number on both sides. Keeps x's memory format. planes - C must be even and not negative.
struct ShortcutOptions {
  int64_t planes = 0;
  int64_t stride = 2;
};
engine::Tensor shortcut_a(const engine::Tensor& x, const ShortcutOptions& options);

}  // namespace ride
