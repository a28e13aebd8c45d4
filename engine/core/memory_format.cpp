#include "engine/core/memory_format.h"

#include <algorithm>

namespace engine {

std::string_view name(MemoryFormat format) {
  return format == MemoryFormat::contiguous ? "contiguous" : "channels_last";
}

Strides strides_of(const Shape& shape, MemoryFormat format) {
  if (format == MemoryFormat::contiguous) return contiguous_strides(shape);
  check(shape.rank() == 4, "memory_format", "channels_last needs a (N, C, H, W) shape, got {}", shape);
  const int64_t c = std::max<int64_t>(shape[1], 1), h = std::max<int64_t>(shape[2], 1),
                w = std::max<int64_t>(shape[3], 1);
  return {h * w * c, 1, w * c, c};
}

}  // namespace engine
