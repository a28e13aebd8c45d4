// How the work of a reduction is shared out: host arithmetic, tested on the CPU.
#pragma once
#include <algorithm>
#include <bit>

#include "engine/cuda/launch_shape.h"

namespace engine::cuda {

// `sets` results, each of `terms` terms. A block of threads_per_block takes width() sets with `lanes` threads each;
// where that makes too few blocks, each set is split into pieces of `piece` terms that different blocks take.
struct ReductionShape {
  int lanes = 1;         // a power of two
  bool columns = false;  // neighbouring threads take neighbouring sets, not neighbouring terms
  int64_t splits = 1, piece = 1;

  int width() const { return threads_per_block / lanes; }
};

inline ReductionShape reduction_shape(int64_t sets, int64_t terms, bool columns, int multiprocessors,
                                      int64_t most_splits = 1024) {
  constexpr int64_t few_terms = 16;  // a lane should have: fewer aren't worth a second launch
  ReductionShape shape{.columns = columns};
  // Columns are read whole warps at a time where there are as many.
  const int64_t narrowest = columns ? std::min<int64_t>(32, static_cast<int64_t>(std::bit_ceil<uint64_t>(sets))) : 1;
  while (shape.lanes * narrowest < threads_per_block && shape.lanes * 4 < terms) shape.lanes *= 2;
  const int64_t blocks = std::max<int64_t>(1, (sets + shape.width() - 1) / shape.width());
  const int64_t wanted = (4 * multiprocessors + blocks - 1) / blocks, possible = terms / (shape.lanes * few_terms);
  shape.splits = std::clamp<int64_t>(std::min(wanted, possible), 1, most_splits);
  shape.piece = std::max<int64_t>(1, (terms + shape.splits - 1) / shape.splits);
  shape.splits = std::max<int64_t>(1, (terms + shape.piece - 1) / shape.piece);
  return shape;
}

inline LaunchShape launch_shape(const ReductionShape& shape, int64_t sets) {
  return {.blocks_x = std::max<int64_t>(1, (sets + shape.width() - 1) / shape.width()), .blocks_y = shape.splits};
}

}  // namespace engine::cuda
