// Images from bytes to floats: a thread for every element of the result, in the order of its memory.
#include "engine/kernels/image.h"

#include "engine/cuda/pool_maps.h"
#include "engine/cuda/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

struct ImageSize {
  int64_t height, width;
};

// y[n, c, h, w] = table[c][x[n, c, motions[n].source(h, w)]]
__global__ void augment_kernel(MapOrder order, ImageSize size, MapStrides xs, MapStrides ys, Global<const uint8_t> x,
                               Global<const int64_t> motions, Global<const float> table, Global<float> y) {
  for (int64_t i = grid_index(); i < order.count; i += grid_step()) {
    const auto [n, c, h, w] = order.at(i);
    const SourcePixel from = PixelMotion::read(motions, n).source(h, w, size.height, size.width);
    const uint8_t byte = from.inside ? x[xs(n, c, from.row, from.column)] : uint8_t{0};
    y[ys(n, c, h, w)] = table[int64_t{c} * 256 + byte];
  }
}

void augment(const Tensor& x, const Tensor& motions, const Tensor& table, const Tensor& y) {
  if (y.numel() == 0) return;
  count_passed(x, y);
  Context& c = context(y.device().index);
  const MapOrder order = map_order(y, 1);
  launch("augment", c, cover_device(c, order.count), augment_kernel, order, ImageSize{y.size(2), y.size(3)},
         map_strides(x, 1), map_strides(y, 1), pointer<const uint8_t>(x), pointer<const int64_t>(motions),
         pointer<const float>(table), pointer<float>(y));
}

}  // namespace

void fill(ImageKernels& table) { table.augment = augment; }

}  // namespace engine::cuda
