// One result for each of many sets of terms: sums, positions of maxima. The lanes of a set take its terms in turns and
// combine what they have as a tree; a set that several blocks share is combined by a second launch. The order is
// the same in every run, and so are the bits.
//
// A Reducer says what is computed:
//   State              what lanes hold; trivial
//   start()            the State of no terms
//   take(s, base, t)   s with term t of the set whose terms begin at `base`
//   merge(a, b)        a before b
//   write(at, s)       the result s of the set whose place is `at`
#pragma once
#include "engine/cuda/map.h"
#include "engine/cuda/reduction_shape.h"

namespace engine::cuda {

// sets: for each set where its terms begin, and its result's place. Of a split set the piece's State is the result, and
// its place is split * sets + set.
template <class Reducer>
__global__ void reduce_kernel(DeviceLoop<2> sets, int64_t terms, ReductionShape shape, Reducer r) {
  using State = typename Reducer::State;
  constexpr int run_length = 64;  // terms that are added up before they join the lane's total, so that no sum is long
  ENGINE_SHARED(State, states, threads_per_block);
  const int thread = static_cast<int>(threadIdx.x), lanes = shape.lanes, width = threads_per_block / lanes;
  const int lane = shape.columns ? thread / width : thread % lanes;
  const int column = shape.columns ? thread % width : thread / lanes;
  const int64_t set = static_cast<int64_t>(blockIdx.x) * width + column;
  const bool inside = set < sets.count;
  int64_t place = static_cast<int64_t>(blockIdx.y) * sets.count + set;
  State total = r.start();
  if (inside) {
    const auto at = sets.offsets(set);
    if (shape.splits == 1) place = at.at[1];
    const int64_t begin = blockIdx.y * shape.piece, rest = terms - begin;
    const int64_t end = begin + (rest < shape.piece ? rest : shape.piece);
    for (int64_t t = begin + lane; t < end;) {
      const int64_t run_end = end - t > run_length * lanes ? t + run_length * lanes : end;
      State run = r.start();
#pragma unroll 4
      for (; t < run_end; t += lanes) run = r.take(run, at.at[0], t);
      total = r.merge(total, run);
    }
  }
  states[thread] = total;
  for (int half = lanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) states[thread] = r.merge(states[thread], states[thread + half * (shape.columns ? width : 1)]);
  }
  if (inside && lane == 0) r.write(place, states[thread]);
}

// Writes States for Merged to take up.
template <class Reducer>
struct Pieces : Reducer {
  using State = typename Reducer::State;
  Global<State> states;
  __device__ void write(int64_t at, State s) const { states[at] = s; }
};

// Takes the States of the pieces of a set; `base` is the set's number.
template <class Reducer>
struct Merged : Reducer {
  using State = typename Reducer::State;
  Global<const State> states;
  int64_t sets;
  __device__ State take(State s, int64_t base, int64_t t) const { return this->merge(s, states[base + t * sets]); }
};

// `columns`: neighbouring sets lie closer together in memory than neighbouring terms.
template <class Reducer>
void reduce(const char* op, Device device, const DeviceLoop<2>& sets, int64_t terms, bool columns, const Reducer& r) {
  using State = typename Reducer::State;
  if (sets.count == 0) return;
  Context& c = context(device.index);
  const ReductionShape shape = reduction_shape(sets.count, terms, columns, c.multiprocessors());
  if (shape.splits == 1)
    return launch(op, c, launch_shape(shape, sets.count), reduce_kernel<Reducer>, sets, terms, shape, r);

  const int64_t count = sets.count * shape.splits;
  const Tensor memory =
      Tensor::empty({count * static_cast<int64_t>(sizeof(State))}, {.dtype = DType::u8, .device = device});
  const Global<State> states = memory_as<State>(memory.raw(), static_cast<std::size_t>(count));
  launch(op, c, launch_shape(shape, sets.count), reduce_kernel<Pieces<Reducer>>, sets, terms, shape,
         Pieces<Reducer>{r, states});

  DeviceLoop<2> numbered = sets;
  for (int64_t axis = sets.rank - 1, stride = 1; axis >= 0; stride *= sets.sizes[axis--])
    numbered.strides[0][axis] = stride;
  const ReductionShape second = reduction_shape(sets.count, shape.splits, true, c.multiprocessors(), 1);
  launch(op, c, launch_shape(second, sets.count), reduce_kernel<Merged<Reducer>>, numbered, shape.splits, second,
         Merged<Reducer>{r, states, sets.count});
}

}  // namespace engine::cuda
