// What kernels share that walk over a tensor by column_shape.h: a thread's part of the rows, sums over a block's rows,
// and sums over all blocks, which the last one makes in one order: the same bits every time, with no second launch.
//
//   blocks along y: chunks of rows      a block: block_rows x block_columns threads
//   +----+----+----+                    thread t has column t % block_columns and every block_rows-th row of the chunk
//   | 0  | 1  | 2  |  blocks along x:
//   +----+----+----+  groups of columns
#pragma once
#include <array>
#include <bit>

#include "engine/cuda/column_shape.h"
#include "engine/cuda/map.h"

namespace engine::cuda {

// A tensor as `outer` x channels x `inner` in memory: channels_last and (N, C) have inner = 1, row-major images H W.
struct ChannelLayout {
  int64_t outer, channels, inner;
};

inline ChannelLayout channel_layout(const Tensor& x) {
  const int64_t c = x.size(1);
  if (x.rank() == 4 && x.format() == MemoryFormat::contiguous && x.size(2) * x.size(3) > 1)
    return {x.size(0), c, x.size(2) * x.size(3)};
  return {c ? x.numel() / c : 0, c, 1};
}

// The walk as a kernel takes it. Row r of a column is vector r % inner of plane r / inner of that channel.
struct Columns {
  int64_t rows = 0, columns = 0, chunk = 0;
  int block_columns = 1, block_rows = 1;
  uint32_t inner = 1;
  bool small = true;  // rows fit 32 bits

  __device__ int64_t vector(int64_t row, int64_t column) const {
    if (inner == 1) return row * columns + column;
    const int64_t plane = small ? static_cast<uint32_t>(row) / inner : row / inner;
    return (plane * columns + column) * inner + (row - plane * inner);
  }
  __device__ int64_t rows_of_chunk(int64_t k) const { return std::min(chunk, rows - k * chunk); }
};

// A thread's column and rows: none where there are more threads than columns.
struct ColumnPart {
  int64_t column, row, end;
  bool leads;  // the one of its column in this block that gets the sums

  __device__ explicit ColumnPart(const Columns& g) {
    const int thread = static_cast<int>(threadIdx.x), own_row = thread / g.block_columns;
    const int64_t begin = blockIdx.y * g.chunk;
    column = static_cast<int64_t>(blockIdx.x) * g.block_columns + (thread - own_row * g.block_columns);
    row = begin + own_row;
    end = own_row < g.block_rows && column < g.columns ? begin + g.rows_of_chunk(blockIdx.y) : 0;
    leads = own_row == 0 && column < g.columns;
  }
};

// Per-channel values of a vector's W elements: W channels where these lie inside, one for all in a plane.
template <int W, bool inside>
inline constexpr int channels_per_vector = inside ? W : 1;

template <int W, bool inside, class S>
__device__ Vec<S, W> load_channels(Global<const S> p, int64_t column) {
  if constexpr (inside) {
    return load<W>(p, column * W);
  } else {
    Vec<S, W> out;
#pragma unroll
    for (int w = 0; w < W; ++w) out.at[w] = p[column];
    return out;
  }
}

// Two sums for each of L channels.
template <class S, int L>
struct ColumnSums {
  S first[L]{}, second[L]{};
  __device__ void add(const ColumnSums& other) {
#pragma unroll
    for (int l = 0; l < L; ++l) {
      first[l] += other.first[l];
      second[l] += other.second[l];
    }
  }
  __device__ ColumnSums<S, 1> together() const {
    ColumnSums<S, 1> out{{first[0]}, {second[0]}};
#pragma unroll
    for (int l = 1; l < L; ++l) out.add({{first[l]}, {second[l]}});
    return out;
  }
};

// Adds up what the threads of a column have; row 0 gets the result. A is made of values of type S, and `shared` holds
// as many of these for half a block.
template <class S, class A, class Shared>
__device__ void add_rows(A& own, int rows, int columns, Shared shared) {
  constexpr int values = sizeof(A) / sizeof(S), givers = column_threads / 2;
  using Flat = std::array<S, values>;
  const int thread = static_cast<int>(threadIdx.x), row = thread / columns;
  int half = rows > 1 ? 1 : 0;
  while (2 * half < rows) half *= 2;
  for (; half; rows = half, half /= 2) {
    if (row >= half && row < rows) {
      const Flat flat = std::bit_cast<Flat>(own);
#pragma unroll
      for (int v = 0; v < values; ++v) shared[v * givers + thread - half * columns] = flat[v];
    }
    __syncthreads();
    if (row < half && row + half < rows) {
      Flat flat;
#pragma unroll
      for (int v = 0; v < values; ++v) flat[v] = shared[v * givers + thread];
      own.add(std::bit_cast<A>(flat));
    }
    __syncthreads();
  }
}

// True in the block of this group of columns that comes here last; what the others stored before is there for it to
// read. `arrived` has a zero for each group and is left so. Only for kernels that run one after the other.
__device__ inline bool last_of_group(unsigned* arrived) {
  ENGINE_SHARED(int, last, 1);
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last[0] = gridDim.y == 1 || atomicInc(&arrived[blockIdx.x], gridDim.y - 1) == gridDim.y - 1;
  __syncthreads();
  __threadfence();
  return last[0];
}

// Two sums over all chunks for each channel of the group, L to a column: read(chunk, channel) gives what is added,
// write(channel, sums) gets the result.
template <int L, class Read, class Write>
__device__ void add_chunks(const Columns& g, const Read& read, const Write& write) {
  using Sums = ColumnSums<double, 1>;
  ENGINE_SHARED(double, shared, column_threads / 2 * 2);
  const int width = g.block_columns * L, slices = column_threads / width;
  const int slice = static_cast<int>(threadIdx.x) / width;
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * width + (static_cast<int>(threadIdx.x) - slice * width);
  const bool mine = slice < slices && channel < g.columns * L;
  Sums sums;
  if (mine) {
#pragma unroll 8
    for (int k = slice; k < static_cast<int>(gridDim.y); k += slices) sums.add(read(k, channel));
  }
  add_rows<double>(sums, slices, width, shared);
  if (mine && slice == 0) write(channel, sums);
}

// --- host -----------------------------------------------------------------------------------------------------------

inline bool aligned_where_defined(const Tensor& x, int elements) { return !x.defined() || aligned(x, elements); }

// Calls f with the widest vectors of T that a kernel can take, and whether their elements are neighbouring channels:
// f(std::integral_constant<int, W>, std::bool_constant<inside>). `tensors` are all that are read or written by vectors.
template <class T, class F, class... Tensors>
void with_vectors(const ChannelLayout& l, F&& f, const Tensors&... tensors) {
  constexpr int W = vector_width<T>;
  const bool fits = (aligned_where_defined(tensors, W) && ...);
  if (fits && l.inner == 1 && l.channels % W == 0)
    f(std::integral_constant<int, W>{}, std::true_type{});
  else if (fits && l.inner > 1 && l.inner % W == 0)
    f(std::integral_constant<int, W>{}, std::false_type{});
  else
    f(std::integral_constant<int, 1>{}, std::false_type{});
}

struct ColumnPlan {
  Columns columns;
  LaunchShape launch;
};

// For vectors of `width` elements as with_vectors chose them; `work` says how much a thread and the grid should do.
inline ColumnPlan plan_columns(const ChannelLayout& l, int width, bool inside, ColumnWork work) {
  check(l.inner < int64_t{1} << 32, "cuda", "a map of {} pixels is too large: its size must fit 32 bits", l.inner);
  work.rows = inside ? l.outer : l.outer * (l.inner / width);
  work.columns = inside ? l.channels / width : l.channels;
  work.side_by_side = l.inner == 1;
  const ColumnShape s = column_shape(work);
  return {{.rows = s.rows,
           .columns = s.columns,
           .chunk = s.chunk,
           .block_columns = s.block_columns,
           .block_rows = s.block_rows,
           .inner = static_cast<uint32_t>(inside ? 1 : l.inner / width),
           .small = s.rows < int64_t{1} << 32},
          s.launch};
}

}  // namespace engine::cuda
