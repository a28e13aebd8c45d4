#pragma once
#include <cstddef>

#include "engine/cuda/runtime.h"

namespace engine::cuda {

// As DeviceMemory::fill.
void fill_memory(Context& c, std::byte* target, const std::byte* element, std::size_t element_size, std::size_t count);

}  // namespace engine::cuda
