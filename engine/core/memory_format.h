// How the elements of a (N, C, H, W) tensor lie in memory. The logical shape is always (N, C, H, W).
#pragma once
#include <optional>
#include <string_view>

#include "engine/core/shape.h"

namespace engine {

enum class MemoryFormat : uint8_t {
  contiguous,     // row-major: w fastest, then h, c, n
  channels_last,  // c fastest, then w, h, n: what oneDNN and cuDNN like best
  // (ceil(N/16), C, H, W, 16): sixteen images side by side in the vector lanes of the CPU. The last group is filled up
  // with images of zeros, and every kernel keeps these zero, so that sums over the lanes need no mask.
  batch_lanes,
};

inline constexpr int64_t images_per_group = 16;  // of batch_lanes

std::string_view name(MemoryFormat format);
std::optional<MemoryFormat> memory_format_named(std::string_view name);  // none of that name: nullopt

// Dense strides of `shape` in `format`. channels_last asks for rank 4; batch_lanes has none.
Strides strides_of(const Shape& shape, MemoryFormat format);

// How a (N, C, H, W) tensor in batch_lanes lies in memory: the row-major shape (ceil(N/16), C, H, W, 16).
Shape groups_of(const Shape& shape);

// Elements in memory: more than the shape has where batch_lanes fills up its last group.
int64_t stored_elements(const Shape& shape, MemoryFormat format);

}  // namespace engine
