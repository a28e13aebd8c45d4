// Copies that convert type and layout, and dropout.
#include "engine/core/random.h"
#include "engine/cuda/dense.h"
#include "engine/cuda/map.h"
#include "engine/cuda/step_memory.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

template <class T, class S>
struct Convert {
  ENGINE_HD T operator()(S x) const { return static_cast<T>(static_cast<Compute<S>>(x)); }
};

// Masks are numbered in row-major order, four numbers to a Philox block, as on the CPU.
template <class T>
__global__ void dropout_kernel(int64_t n, float p, Compute<T> scale, Generator::State mask,
                               Global<const StepScalars> now, Global<const T> x, Global<T> y) {
  using C = Compute<T>;
  const uint64_t drawn_since = now ? now[0].drawn : 0;
  const uint64_t stream = philox_pair(mask.seed, mask.stream, mask.position + drawn_since);
  for (int64_t block = grid_index(); 4 * block < n; block += grid_step()) {
    const auto words = philox(mask.seed, stream, static_cast<uint64_t>(block));
    for (int k = 0; k < 4 && 4 * block + k < n; ++k) {
      const int64_t i = 4 * block + k;
      y[i] = to_uniform(words[k]) >= p ? static_cast<T>(static_cast<C>(x[i]) * scale) : static_cast<T>(C(0));
    }
  }
}

void dropout(const Tensor& x, double p, const Generator::State& mask, const Tensor& y) {
  if (x.numel() == 0) return;
  Context& c = context(x.device().index);
  const Tensor source = dense(x, MemoryFormat::contiguous);
  const Tensor target = y.is_contiguous() ? y : Tensor::empty(y.shape(), {.dtype = y.dtype(), .device = y.device()});
  count_elementwise(y, 2);
  dispatch_floating(x.dtype(), "dropout", [&](auto tag) {
    using T = typename decltype(tag)::type;
    launch("dropout", c, cover(x.numel(), 4), dropout_kernel<T>, x.numel(), static_cast<float>(p),
           static_cast<Compute<T>>(1 / (1 - p)), mask, recorded_scalars(c), pointer<const T>(source),
           pointer<T>(target));
  });
  if (!y.is_contiguous()) copy(target, y);
}

}  // namespace

void copy(const Tensor& x, const Tensor& y) {
  count_elementwise(y, 2);
  dispatch_all(x.dtype(), [&](auto from) {
    using S = typename decltype(from)::type;
    dispatch_all(y.dtype(), [&](auto to) {
      using T = typename decltype(to)::type;
      map<T, S>("copy", Convert<T, S>{}, y, x);
    });
  });
}

void fill_copy(ElementwiseKernels& table) {
  table.copy = copy;
  table.dropout = dropout;
}

}  // namespace engine::cuda
