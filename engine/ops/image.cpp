#include "engine/ops/image.h"

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

void check_augment(const Tensor& images, const Tensor& motions, const Tensor& table, MemoryFormat format) {
  check(images.rank() == 4 && images.dtype() == DType::u8, "augment", "needs images (N, C, H, W) in u8, got {}",
        images.str());
  check(motions.shape() == Shape{images.size(0), PixelMotion::numbers} && motions.dtype() == DType::i64, "augment",
        "needs motions ({}, {}) in i64 for images {}, got {}", images.size(0), PixelMotion::numbers, images.shape(),
        motions.str());
  check(table.shape() == Shape{images.size(1), 256} && table.dtype() == DType::f32, "augment",
        "needs a table ({}, 256) in f32 for images {}, got {}", images.size(1), images.shape(), table.str());
  check(format != MemoryFormat::batch_lanes || images.device().type == DeviceType::cpu, "augment",
        "batch_lanes is a format of the CPU: use channels_last on {}", name(images.device()));
}

}  // namespace

// y[n, c, h, w] = table[c][x[n, c, motions[n].source(h, w)]]
Tensor augment(const Tensor& images, const Tensor& motions, const Tensor& table, MemoryFormat format) {
  profile::Scope scope("augment");
  check_augment(images, motions, table, format);
  const Tensor x = images.format() == MemoryFormat::batch_lanes ? contiguous(images) : images;
  const Tensor y = Tensor::empty(x.shape(), {.device = x.device(), .format = format});
  kernels(x).image.augment(x, contiguous(motions), contiguous(table), y);
  return y;
}

}  // namespace engine
