// How the elements of a (N, C, H, W) tensor lie in memory. The logical shape is always (N, C, H, W).
#pragma once
#include <string_view>

#include "engine/core/shape.h"

namespace engine {

enum class MemoryFormat : uint8_t {
  contiguous,     // row-major: w fastest, then h, c, n
  channels_last,  // c fastest, then w, h, n: what oneDNN and cuDNN like best
};

std::string_view name(MemoryFormat format);

// Dense strides of `shape` in `format`. channels_last asks for rank 4.
Strides strides_of(const Shape& shape, MemoryFormat format);

}  // namespace engine
