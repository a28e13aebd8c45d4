#include <algorithm>

#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/layout.h"
#include "engine/cpu/strided.h"
#include "engine/cpu/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cpu {
namespace {

void check_position(const char* op, int64_t position, int64_t size) {
  check(position >= 0 && position < size, op, "index {} is out of range for an axis of size {}", position, size);
}

void gather(const Tensor& any, int axis, const Tensor& index, const Tensor& y);

// Into batch_lanes: whole images are chosen lane by lane, anything else through a row-major tensor.
void gather_lanes(const Tensor& x, int axis, const Tensor& index, const Tensor& y) {
  const Strides& s = index.strides();
  const bool whole_images = axis == 0 && s[1] == 0 && s[2] == 0 && s[3] == 0;
  if (whole_images && x.format() == MemoryFormat::batch_lanes)
    return lanes::select_images(x, index.as_strided({index.size(0)}, {s[0]}).to<int64_t>(), y);
  const Tensor rows = Tensor::empty(y.shape(), {.dtype = y.dtype()});
  gather(x, axis, index, rows);
  copy(rows, y);
}

// x is walked like y with the indexed axis held still; the index then says how far along it to read.
void gather(const Tensor& any, int axis, const Tensor& index, const Tensor& y) {
  if (y.format() == MemoryFormat::batch_lanes) return gather_lanes(any, axis, index, y);
  const Tensor x = strided(any);
  count_moved(y, index);
  const int64_t size = x.shape()[axis], along = x.strides()[axis];
  const auto loop = plan_loop<3>(y.shape(), {x.strides().replaced(axis, 0), index.strides(), y.strides()});
  const int64_t* pi = index.data<int64_t>();
  dispatch_all(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* px = x.data<T>();
    T* py = y.data<T>();
    run_parallel(loop, [&](int64_t n, auto at, auto step) {
      if (step[1] == 0 && step[0] == 1 && step[2] == 1) {  // whole rows: index_select
        const int64_t position = pi[at[1]];
        check_position("gather", position, size);
        std::copy_n(px + at[0] + position * along, n, py + at[2]);
        return;
      }
      for (int64_t i = 0; i < n; ++i) {
        const int64_t position = pi[at[1] + i * step[1]];
        check_position("gather", position, size);
        py[at[2] + i * step[2]] = px[at[0] + i * step[0] + position * along];
      }
    });
  });
}

// One thread: several sources may name one place.
void scatter(const Tensor& any, int axis, const Tensor& index, bool add, const Tensor& y) {
  if (y.format() == MemoryFormat::batch_lanes) {
    const Tensor rows = strided(y);
    scatter(any, axis, index, add, rows);
    return copy(rows, y);
  }
  const Tensor source = strided(any);
  count_moved(source, index);
  const int64_t size = y.shape()[axis], along = y.strides()[axis];
  const auto loop = plan_loop<3>(source.shape(), {source.strides(), index.strides(), y.strides().replaced(axis, 0)});
  const int64_t* pi = index.data<int64_t>();
  dispatch_all(source.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using C = Compute<T>;
    const T* ps = source.data<T>();
    T* py = y.data<T>();
    run_range(loop, 0, source.numel(), [&](int64_t n, auto at, auto step) {
      for (int64_t i = 0; i < n; ++i) {
        const int64_t position = pi[at[1] + i * step[1]];
        check_position("scatter", position, size);
        T& target = py[at[2] + i * step[2] + position * along];
        const T value = ps[at[0] + i * step[0]];
        target = add ? static_cast<T>(static_cast<C>(target) + static_cast<C>(value)) : value;
      }
    });
  });
}

void partition(const Tensor& mask_any, const Tensor& index, const Tensor& count) {
  const Tensor mask = dense(mask_any, MemoryFormat::contiguous);
  const bool* on = mask.data<bool>();
  const int64_t n = mask.numel(), all = std::count(on, on + n, true);
  int64_t *trues = index.data<int64_t>(), *others = trues + all;
  for (int64_t i = 0; i < n; ++i) *(on[i] ? trues : others)++ = i;
  count.data<int64_t>()[0] = all;
}

}  // namespace

void fill(IndexKernels& table) {
  table.gather = gather;
  table.scatter = scatter;
  table.partition = partition;
}

}  // namespace engine::cpu
