// Training and test images: from bytes to what a network sees, on any device.
#pragma once
#include "engine/core/tensor.h"
#include "engine/kernels/image.h"

namespace engine {

// Moves the pixels of images (N, C, H, W) u8, each by its motion (a PixelMotion's numbers, motions is (N, 8) i64), and
// looks every byte up in its channel's row of `table` (C, 256) f32: (N, C, H, W) f32, dense in `format`. What comes
// from outside of an image is the byte 0. The same bits on every device. Has no gradient.
Tensor augment(const Tensor& images, const Tensor& motions, const Tensor& table,
               MemoryFormat format = MemoryFormat::channels_last);

}  // namespace engine
