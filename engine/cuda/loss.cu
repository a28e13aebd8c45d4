// Losses of several classifiers in one pass: a warp takes an image, the maths in engine/kernels/ensemble_row.h. The
// block that ends last adds up what all images have, in one order.
#include "engine/cuda/columns.h"
#include "engine/cuda/fault.h"
#include "engine/cuda/table.h"
#include "engine/cuda/team.h"
#include "engine/kernels/count_work.h"
#include "engine/kernels/ensemble_row.h"

namespace engine::cuda {
namespace {

using Row = Team<false>;
constexpr int threads = Row::most_threads;

template <class T>
using Rows = functors::EnsembleRows<T, Global>;

__device__ unsigned terms_arrived[1];

// Images lie along the grid's y, so that all blocks are one group.
__device__ int64_t first_image() { return int64_t{blockIdx.y} * Row::warps + threadIdx.x / 32; }
__device__ int64_t next_image(int64_t n) { return n + int64_t{gridDim.y} * Row::warps; }

// sum f(n) over all images by the whole block.
template <class F>
__device__ double sum_images(int64_t images, const F& f) {
  double sum = 0;
  for (int64_t n = threadIdx.x; n < images; n += threads) sum += f(n);
  return combine_block(sum, Add{});
}

// terms (N, 3): the EnsembleTerms of each image. An image whose label is no class counts nothing; it was reported.
template <class T>
__global__ void __launch_bounds__(threads, 1)
    ensemble_kernel(const Rows<T> __grid_constant__ rows, int64_t images, functors::EnsembleScales scales,
                    FaultReport report, Global<const int64_t> labels, Global<T> shifts, Global<T> terms,
                    Global<T> parts) {
  for (int64_t n = first_image(); n < images; n = next_image(n)) {
    const int64_t label = labels[n];
    functors::EnsembleTerms<T> own;
    if (report.inside(label, rows.classes))
      own = functors::ensemble_terms<T>(Row{}, rows, n, label, [&](int i, T value) {
        if (Row::member() == 0) shifts[n * rows.shifts_per_row() + i] = value;
      });
    if (Row::member() == 0) {
      terms[3 * n] = own.cross_entropy;
      terms[3 * n + 1] = own.divergence;
      terms[3 * n + 2] = own.weight;
    }
  }
  if (!last_of_group(terms_arrived)) return;

  const double cross_entropy = sum_images(images, [&](int64_t n) { return static_cast<double>(terms[3 * n]); });
  const double divergence = sum_images(images, [&](int64_t n) { return static_cast<double>(terms[3 * n + 1]); });
  const double weight = sum_images(images, [&](int64_t n) { return static_cast<double>(terms[3 * n + 2]); });
  if (threadIdx.x != 0) return;
  const auto all = scales.parts(cross_entropy, divergence, weight, images);
#pragma unroll
  for (int i = 0; i < 4; ++i) parts[i] = static_cast<T>(all[i]);
}

template <class T>
struct Outputs {
  Global<T> at[EnsembleLoss::most_members];
};

template <class T>
__global__ void __launch_bounds__(threads, 1)
    ensemble_backward_kernel(const Rows<T> __grid_constant__ rows, const Outputs<T> __grid_constant__ dlogits,
                             int64_t images, T cross_entropy, T divergence, Global<const int64_t> labels,
                             Global<const T> shifts, Global<const T> parts, Global<const T> dtotal) {
  const T given = dtotal[0], weight = parts[3];
  for (int64_t n = first_image(); n < images; n = next_image(n)) {
    const int64_t label = labels[n];
    if (label < 0 || label >= rows.classes) continue;  // reported by the forward pass
    functors::ensemble_gradients<T>(
        Row{}, rows, n, label, given * cross_entropy / weight, given * divergence / static_cast<T>(images),
        [&](int i) { return static_cast<T>(shifts[n * rows.shifts_per_row() + i]); },
        [&](int e, int64_t c, T value) { dlogits.at[e][n * rows.classes + c] = value; });
  }
}

template <class T>
Rows<T> rows_of(const EnsembleLoss& loss) {
  return functors::ensemble_rows<T, Global>(loss, pointer<const T>);
}

LaunchShape shape_for(const Context& c, int64_t images) {
  const int64_t blocks = (images + Row::warps - 1) / Row::warps;
  return {.blocks_y = std::clamp<int64_t>(blocks, 1, int64_t{c.multiprocessors()} * 8), .threads_x = threads};
}

template <class T>
void ensemble_as(const EnsembleLoss& loss, const EnsembleLossResult& result) {
  Context& c = context(loss.labels.device().index);
  const int64_t images = loss.labels.numel();
  const Tensor terms = Tensor::empty({images, 3}, {.dtype = dtype_of<T>, .device = loss.labels.device()});
  launch("cross_entropy", c, shape_for(c, images), ensemble_kernel<T>, rows_of<T>(loss), images,
         functors::scales_of(loss), fault_report(c, "cross_entropy"), pointer<const int64_t>(loss.labels),
         pointer<T>(result.shifts), pointer<T>(terms), pointer<T>(result.parts));
}

template <class T>
void ensemble_backward_as(const EnsembleLoss& loss, const EnsembleLossResult& result, const Tensor& dtotal,
                          const std::vector<Tensor>& dlogits) {
  Context& c = context(loss.labels.device().index);
  const int64_t images = loss.labels.numel();
  Outputs<T> outputs{};
  for (std::size_t e = 0; e < dlogits.size(); ++e) outputs.at[e] = pointer<T>(dlogits[e]);
  launch("cross_entropy backward", c, shape_for(c, images), ensemble_backward_kernel<T>, rows_of<T>(loss), outputs,
         images, static_cast<T>(loss.cross_entropy), static_cast<T>(loss.divergence),
         pointer<const int64_t>(loss.labels), pointer<const T>(result.shifts), pointer<const T>(result.parts),
         pointer<const T>(dtotal));
}

void ensemble(const EnsembleLoss& loss, const EnsembleLossResult& result) {
  count_losses(loss, 1);
  functors::with_logit_type(loss, [&](auto type) { ensemble_as<decltype(type)>(loss, result); });
}

void ensemble_backward(const EnsembleLoss& loss, const EnsembleLossResult& result, const Tensor& dtotal,
                       const std::vector<Tensor>& dlogits) {
  count_losses(loss, 2);
  functors::with_logit_type(loss,
                            [&](auto type) { ensemble_backward_as<decltype(type)>(loss, result, dtotal, dlogits); });
}

}  // namespace

void fill(LossKernels& table) {
  table.ensemble = ensemble;
  table.ensemble_backward = ensemble_backward;
}

}  // namespace engine::cuda
