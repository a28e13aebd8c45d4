#include "engine/core/memory_format.h"

#include <algorithm>

namespace engine {

std::string_view name(MemoryFormat format) {
  switch (format) {
    case MemoryFormat::contiguous: return "contiguous";
    case MemoryFormat::channels_last: return "channels_last";
    case MemoryFormat::batch_lanes: return "batch_lanes";
  }
  fail("memory_format", "corrupt memory format {}", static_cast<int>(format));
}

std::optional<MemoryFormat> memory_format_named(std::string_view name_of_format) {
  for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last, MemoryFormat::batch_lanes})
    if (name(format) == name_of_format) return format;
  return {};
}

Strides strides_of(const Shape& shape, MemoryFormat format) {
  if (format == MemoryFormat::contiguous) return contiguous_strides(shape);
  check(format == MemoryFormat::channels_last, "memory_format", "{} has no strides", name(format));
  check(shape.rank() == 4, "memory_format", "channels_last needs a (N, C, H, W) shape, got {}", shape);
  const int64_t c = std::max<int64_t>(shape[1], 1), h = std::max<int64_t>(shape[2], 1),
                w = std::max<int64_t>(shape[3], 1);
  return {h * w * c, 1, w * c, c};
}

Shape groups_of(const Shape& shape) {
  check(shape.rank() == 4, "memory_format", "batch_lanes needs a (N, C, H, W) shape, got {}", shape);
  const int64_t groups = (shape[0] + images_per_group - 1) / images_per_group;
  return {groups, shape[1], shape[2], shape[3], images_per_group};
}

int64_t stored_elements(const Shape& shape, MemoryFormat format) {
  return format == MemoryFormat::batch_lanes ? groups_of(shape).numel() : shape.numel();
}

}  // namespace engine
