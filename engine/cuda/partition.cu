// Where the true elements of a mask are, and then the false ones. One block: masks have an element for each image of a
// batch. A thread counts a run of neighbours, so that it knows where its own go once it knows what stands before them.
#include "engine/cuda/dense.h"
#include "engine/cuda/device_code.h"
#include "engine/cuda/launch.h"
#include "engine/cuda/table.h"

namespace engine::cuda {
namespace {

constexpr int threads = 512;

__global__ void __launch_bounds__(threads)
    partition_kernel(int64_t n, Global<const bool> mask, Global<int64_t> index, Global<int64_t> count) {
  ENGINE_SHARED(int64_t, up_to, threads);  // true elements of this thread's run and all before it
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t run = (n + threads - 1) / threads;
  const int64_t begin = run * thread < n ? run * thread : n, end = begin + run < n ? begin + run : n;
  int64_t own = 0;
  for (int64_t i = begin; i < end; ++i) own += mask[i] ? 1 : 0;
  up_to[thread] = own;
  for (int away = 1; away < threads; away *= 2) {
    __syncthreads();
    const int64_t before = thread >= away ? static_cast<int64_t>(up_to[thread - away]) : 0;
    __syncthreads();
    up_to[thread] = up_to[thread] + before;
  }
  __syncthreads();
  const int64_t all = up_to[threads - 1];
  int64_t trues = up_to[thread] - own;
  for (int64_t i = begin; i < end; ++i) {
    if (mask[i])
      index[trues++] = i;
    else
      index[all + i - trues] = i;
  }
  if (thread == 0) count[0] = all;
}

void partition(const Tensor& mask_any, const Tensor& index, const Tensor& count) {
  const Tensor mask = dense(mask_any, MemoryFormat::contiguous);
  launch("partition", context(count.device().index), {.threads_x = threads}, partition_kernel, mask.numel(),
         pointer<const bool>(mask), pointer<int64_t>(index), pointer<int64_t>(count));
}

}  // namespace

void fill_partition(IndexKernels& table) { table.partition = partition; }

}  // namespace engine::cuda
