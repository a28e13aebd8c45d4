// How many blocks of how many threads: host arithmetic, tested on the CPU.
#pragma once
#include <algorithm>
#include <cstdint>

#include "engine/core/error.h"

namespace engine::cuda {

inline constexpr int threads_per_block = 256;
inline constexpr int64_t most_blocks = (int64_t{1} << 31) - 1;  // along x; 65,535 along y and z
inline constexpr int64_t most_blocks_yz = 65535;

struct LaunchShape {
  int64_t blocks_x = 1, blocks_y = 1;
  int threads_x = threads_per_block, threads_y = 1;
  std::size_t shared_bytes = 0;  // dynamic

  int threads() const { return threads_x * threads_y; }
  bool valid() const {
    return blocks_x >= 1 && blocks_x <= most_blocks && blocks_y >= 1 && blocks_y <= most_blocks_yz && threads() >= 1 &&
           threads() <= 1024 && shared_bytes <= 48 * 1024;
  }
};

// Blocks for n items of which each thread takes `per_thread`; at most `at_most`: kernels walk on by the whole grid.
inline LaunchShape cover(int64_t n, int64_t per_thread = 1, int64_t at_most = most_blocks) {
  const int64_t per_block = per_thread * threads_per_block;
  return {.blocks_x = std::clamp<int64_t>((n + per_block - 1) / per_block, 1, at_most)};
}

// One block for each of n rows, with as many threads as a row of `length` can use: a power of two from 32 to 1,024.
inline LaunchShape block_per_row(int64_t n, int64_t length) {
  int threads = 32;
  while (threads < 1024 && threads * 4 < length) threads *= 2;
  return {.blocks_x = std::clamp<int64_t>(n, 1, most_blocks), .threads_x = threads};
}

}  // namespace engine::cuda
