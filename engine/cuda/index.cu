// Reading and writing at places given by an index.
//
// Scatter has to write as the CPU does, source after source along the axis, because several may name one place: sums
// are rounded in that order, and the last of them overwrites. Where one thread can walk the sources of a line (all that
// differs from it along the axis alone), it does. Where lines are long and few, each line's indices are sorted, which
// leaves sources of one place beside one another and in their order, and a thread takes the sources of one place.
#include "engine/cuda/dense.h"
#include "engine/cuda/fault.h"
#include "engine/cuda/map.h"
#include "engine/cuda/scatter_plan.h"
#include "engine/cuda/sort.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

// y[i] = x[index[i]]: W neighbours at a time that share an index.
template <class T, int W>
__global__ void gather_kernel(DeviceLoop<3> loop, int64_t size, int64_t along, FaultReport report, Global<const T> x,
                              Global<const int64_t> index, Global<T> y) {
  for (int64_t i = grid_index(); i < loop.count; i += grid_step()) {
    const auto at = loop.offsets(i);
    const int64_t position = index[at.at[1]];
    if (report.inside(position, size)) store<W>(y, at.at[2], load<W>(x, at.at[0] + position * along));
  }
}

// The loop over vectors of W elements along its last axis, if x and y can be walked so.
bool by_vectors(StridedLoop<3>& loop, int64_t along, int W) {
  const int last = loop.shape.rank() - 1;
  bool fits = loop.shape[last] % W == 0 && along % W == 0;
  for (const int operand : {0, 2}) {
    fits = fits && loop.strides[operand][last] == 1;
    for (int axis = 0; axis < last; ++axis) fits = fits && loop.strides[operand][axis] % W == 0;
  }
  if (!fits || loop.strides[1][last] != 0) return false;
  loop.shape[last] /= W;
  loop.strides[0][last] = loop.strides[2][last] = W;
  return true;
}

// x is walked like y with the indexed axis held still; the index then says how far along it to read.
void gather(const Tensor& x, int axis, const Tensor& index, const Tensor& y) {
  if (y.numel() == 0) return;
  count_moved(y, index);
  const int64_t size = x.shape()[axis], along = x.strides()[axis];
  auto loop = plan_loop<3>(y.shape(), {x.strides().replaced(axis, 0), index.strides(), y.strides()});
  Context& c = context(y.device().index);
  dispatch_all(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    constexpr int W = vector_width<T>;
    const bool vectors = aligned(x, W) && aligned(y, W) && by_vectors(loop, along, W);
    launch("gather", c, cover_device(c, loop.shape.numel()), vectors ? gather_kernel<T, W> : gather_kernel<T, 1>,
           device_loop(loop), size, along, fault_report(c, "gather"), pointer<const T>(x),
           pointer<const int64_t>(index), pointer<T>(y));
  });
}

template <class T>
__device__ T sum_of(T a, T b) {
  return static_cast<T>(static_cast<Compute<T>>(a) + static_cast<Compute<T>>(b));
}

// How far the next element along the axis lies.
struct Steps {
  int64_t source, index, y;
};

// A thread for each line. lines: where it begins in source, index and y.
template <class T>
__global__ void scatter_lines(DeviceLoop<3> lines, int64_t n, Steps steps, int64_t size, bool add, FaultReport report,
                              Global<const T> source, Global<const int64_t> index, Global<T> y) {
  for (int64_t i = grid_index(); i < lines.count; i += grid_step()) {
    const auto at = lines.offsets(i);
    for (int64_t j = 0; j < n; ++j) {
      const int64_t position = index[at.at[1] + j * steps.index];
      if (!report.inside(position, size)) continue;
      const T value = source[at.at[0] + j * steps.source];
      const int64_t target = at.at[2] + position * steps.y;
      y[target] = add ? sum_of(y[target], value) : value;
    }
  }
}

// A thread for each source. Its line's sources are ordered by `order`, of which it takes entry `number`; the thread
// with the first entry of a place adds them all, or the one with the last entry overwrites.
// loop: the line's begin in index and order, and in y; the number; the line's begin in source and number steps more.
template <class T>
__global__ void scatter_sorted(DeviceLoop<4> loop, int64_t n, Steps steps, int64_t size, bool add, FaultReport report,
                               Global<const T> source, Global<const int64_t> index, Global<const int64_t> order,
                               Global<T> y) {
  for (int64_t i = grid_index(); i < loop.count; i += grid_step()) {
    const auto at = loop.offsets(i);
    const int64_t line = at.at[0], number = at.at[2], begin = at.at[3] - number * steps.source;
    const auto place = [&](int64_t j) { return index[line + order[line + j]]; };
    const auto value = [&](int64_t j) { return source[begin + order[line + j] * steps.source]; };
    const int64_t position = place(number);
    if (!report.inside(position, size)) continue;
    const int64_t target = at.at[1] + position * steps.y;
    if (!add) {
      if (number == n - 1 || place(number + 1) != position) y[target] = value(number);
    } else if (number == 0 || place(number - 1) != position) {
      T sum = y[target];
      for (int64_t j = number; j < n && place(j) == position; ++j) sum = sum_of(sum, value(j));
      y[target] = sum;
    }
  }
}

// The index with its axis last, dense, and without the axes that it is only stretched over; the strides to walk it by
// in the order of the source's axes.
struct IndexLines {
  Tensor rows;
  Strides strides;
};

IndexLines lines_of(const Tensor& index, int axis) {
  Shape shape;
  Strides strides;
  for (int i = 0; i < index.rank(); ++i)
    if (i != axis) {
      const bool stretched = index.strides()[i] == 0;
      shape.push_back(stretched ? 1 : index.shape()[i]);
      strides.push_back(index.strides()[i]);
    }
  shape.push_back(index.shape()[axis]);
  strides.push_back(index.strides()[axis]);
  IndexLines lines{dense(index.as_strided(shape, strides), MemoryFormat::contiguous), {}};
  const Strides packed = contiguous_strides(shape);
  for (int i = 0, k = 0; i < index.rank(); ++i) {
    const int64_t stride = i == axis || index.strides()[i] == 0 ? 0 : packed[k];
    lines.strides.push_back(stride);
    if (i != axis) ++k;
  }
  return lines;
}

void scatter(const Tensor& source, int axis, const Tensor& index, bool add, const Tensor& y) {
  if (source.numel() == 0) return;
  count_moved(source, index);
  Context& c = context(y.device().index);
  const int64_t size = y.shape()[axis], n = source.shape()[axis], lines = source.numel() / n;
  const Steps steps{source.strides()[axis], index.strides()[axis], y.strides()[axis]};
  const FaultReport report = fault_report(c, "scatter");
  dispatch_all(source.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (walks_lines(lines, n)) {
      const auto loop =
          plan_loop<3>(source.shape().replaced(axis, 1), {source.strides(), index.strides(), y.strides()});
      return launch("scatter", c, cover_device(c, lines), scatter_lines<T>, device_loop(loop), n, steps, size, add,
                    report, pointer<const T>(source), pointer<const int64_t>(index), pointer<T>(y));
    }
    const IndexLines sorted = lines_of(index, axis);
    const Tensor order = empty_like(sorted.rows);
    sort(sorted.rows, false, order);
    const auto loop =
        plan_loop<4>(source.shape(), {sorted.strides, y.strides().replaced(axis, 0),
                                      Strides::filled(source.rank(), 0).replaced(axis, 1), source.strides()});
    launch("scatter", c, cover_device(c, source.numel()), scatter_sorted<T>, device_loop(loop), n, steps, size, add,
           report, pointer<const T>(source), pointer<const int64_t>(sorted.rows), pointer<const int64_t>(order),
           pointer<T>(y));
  });
}

}  // namespace

void fill(IndexKernels& table) {
  table.gather = gather;
  table.scatter = scatter;
}

}  // namespace engine::cuda
