// How a scatter is done: host arithmetic, tested on the CPU.
#pragma once
#include <cstdint>

namespace engine::cuda {

// Whether a thread walks all n sources of a line, or the sources are sorted by their places first. Walking is one
// launch and no memory, but a thread waits for one source after the other: good for few of them, and where lines fill
// the device.
inline bool walks_lines(int64_t lines, int64_t n) { return n <= 64 || lines >= 1 << 16; }

}  // namespace engine::cuda
