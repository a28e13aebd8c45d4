// The emulator's header in place of engine/cuda/launch.h: a launch puts the kernel with copies of its arguments into
// the stream's queue.
#pragma once
#include <cuda_runtime.h>

#include <tuple>

#include "engine/cuda/launch_shape.h"
#include "engine/cuda/runtime.h"
#include "tests/emulator/planning.h"

namespace engine::cuda {

template <class... Parameters, class... Arguments>
void launch(const char* op, Context& c, const LaunchShape& shape, void (*kernel)(Parameters...),
            Arguments&&... arguments) {
  using Copies = std::tuple<std::decay_t<Parameters>...>;
  check(shape.valid(), op, "can't launch {} x {} blocks of {} threads with {} bytes of shared memory", shape.blocks_x,
        shape.blocks_y, shape.threads(), shape.shared_bytes);
  c.use();
  if (emulator::planning()) {
    const Copies parameters(std::forward<Arguments>(arguments)...);
    const auto list = [](const auto&... each) { return std::vector<std::any>{std::any(each)...}; };
    emulator::planned(
        {op, shape.blocks_x, shape.blocks_y, shape.threads(), shape.shared_bytes, std::apply(list, parameters)});
    return c.launched(op);
  }
  emulator::enqueue(
      c.stream(), [=, name = std::string(op), parameters = Copies(std::forward<Arguments>(arguments)...)] {
        emulator::run_kernel(name, {static_cast<unsigned>(shape.blocks_x), static_cast<unsigned>(shape.blocks_y)},
                             {static_cast<unsigned>(shape.threads_x), static_cast<unsigned>(shape.threads_y)},
                             shape.shared_bytes, [&] { std::apply(kernel, parameters); });
      });
  c.launched(op);
}

}  // namespace engine::cuda
