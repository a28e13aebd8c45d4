// How kernels that keep something for each channel go over a tensor: as a matrix of vectors whose columns are channels
// (or a vector's width of channels) and whose rows are all the pixels of all images. Host arithmetic, tested on the
// CPU.
#pragma once
#include "engine/cuda/launch_shape.h"

namespace engine::cuda {

inline constexpr int column_threads = 512;
inline constexpr int most_row_bytes = 128;            // of a block's row: a line of memory
inline constexpr int64_t most_counted_groups = 1024;  // with more, a group has one block: its sums need no second look

struct ColumnShape {
  int64_t rows = 0, columns = 0;
  int64_t chunk = 0;                      // rows of a block
  int block_columns = 1, block_rows = 1;  // a block's threads
  LaunchShape launch;                     // groups of columns along x, chunks of rows along y
};

struct ColumnWork {
  int64_t rows = 0, columns = 0;
  int vector_bytes = 16;
  bool side_by_side = true;     // neighbouring columns are neighbours in memory
  int64_t rows_per_thread = 1;  // at least, where there is more than one chunk
  int64_t most_blocks = 1;      // in all, where there are no more groups than that
};

inline ColumnShape column_shape(const ColumnWork& work) {
  const auto parts = [](int64_t n, int64_t size) { return std::max<int64_t>((n + size - 1) / size, 1); };
  ColumnShape s;
  s.rows = work.rows;
  s.columns = work.columns;
  const int64_t groups = parts(work.columns, work.side_by_side ? most_row_bytes / work.vector_bytes : 1);
  s.block_columns = static_cast<int>(parts(work.columns, groups));
  s.block_rows = column_threads / s.block_columns;
  const int64_t wanted = parts(work.rows, s.block_rows * work.rows_per_thread);
  const int64_t most = groups > most_counted_groups ? 1 : std::max<int64_t>(work.most_blocks / groups, 1);
  // Whole steps of the block's rows, so that only the last chunk has threads with less to do.
  s.chunk = parts(parts(work.rows, std::min({wanted, most, most_blocks_yz})), s.block_rows) * s.block_rows;
  s.launch = {.blocks_x = groups, .blocks_y = parts(work.rows, s.chunk), .threads_x = column_threads};
  return s;
}

}  // namespace engine::cuda
