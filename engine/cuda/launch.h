// Starting a kernel. The emulator (tests/emulator) has a header of this name that takes this one's place.
#pragma once
#include <cuda_runtime.h>

#include <utility>

#include "engine/cuda/launch_shape.h"
#include "engine/cuda/runtime.h"

namespace engine::cuda {

// Runs `kernel` on the stream of `c`. `op` names it in errors and must be a string literal.
template <class... Parameters, class... Arguments>
void launch(const char* op, Context& c, const LaunchShape& shape, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  check(shape.valid(), op, "can't launch {} x {} blocks of {} threads with {} bytes of shared memory", shape.blocks_x,
        shape.blocks_y, shape.threads(), shape.shared_bytes);
  c.use();
  const dim3 grid(static_cast<unsigned>(shape.blocks_x), static_cast<unsigned>(shape.blocks_y));
  const dim3 block(static_cast<unsigned>(shape.threads_x), static_cast<unsigned>(shape.threads_y));
  kernel<<<grid, block, shape.shared_bytes, c.stream()>>>(Parameters(std::forward<Arguments>(arguments))...);
  c.launched(op);
}

}  // namespace engine::cuda
