// From the bytes of an image to the floats a network sees: augmentation for training, normalisation alone for testing.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "data/dataset.h"
#include "engine/core/random.h"
#include "engine/ops/image.h"

namespace data {

// Where one image's (C, H, W) floats go, in any memory format.
struct ImageSlot {
  float* values = nullptr;
  int64_t channel_stride = 0, row_stride = 0, column_stride = 0;  // in elements
};

// y = (x / 255 - mean) / std per channel; an image with one channel uses the first of each.
struct Normalize {
  std::array<float, 3> mean = {0.4914f, 0.4822f, 0.4465f};  // CIFAR-10's, which the authors use for CIFAR-100 too
  std::array<float, 3> std = {0.2023f, 0.1994f, 0.2010f};
};
inline constexpr Normalize cifar_normalization{};

// The CIFAR augmentation of RIDE (LDAM-DRW's is the same without the rotation), in this order:
//   crop      pad every side with `crop_padding` black pixels, take a window of the image's size at random
//   flip      left-right, with probability 1/2
//   rotate    about the centre by an angle uniform in [-rotation_degrees, rotation_degrees], nearest pixel
//   normalise last, so that the black around crop and rotation is 0 before it
// Always draws four numbers per image, whatever is switched off.
struct Augment {
  int crop_padding = 4;  // pixels, 0: no crop
  bool flip = true;
  double rotation_degrees = 15;  // 0: no rotation
  std::array<float, 3> mean = cifar_normalization.mean;
  std::array<float, 3> std = cifar_normalization.std;
};

// One way of moving pixels, made of the three steps above; what Augment draws at random.
struct Motion {
  int crop_x = 0, crop_y = 0;  // the window's offset from the unpadded image, pixels; inside [-padding, padding]
  bool flip = false;
  double degrees = 0;  // counter-clockwise
};

// The motion of an image of that size, in the fixed point in which pixels are looked for. The rotation samples as PIL's
// Image.rotate with nearest does.
engine::PixelMotion pixel_motion(int height, int width, const Motion& motion);

// For every pixel of the result (row-major), the pixel of an image of that size it comes from: y * width + x, or -1 for
// black.
std::vector<int32_t> source_pixels(int height, int width, const Motion& motion);

// What is done to each image. Copied freely; called from several threads at once, with a `random` that belongs to the
// image alone.
class Transform {
 public:
  // Throw for negative padding or angle, or a std that is not positive.
  explicit Transform(const Augment& options);
  explicit Transform(const Normalize& options);

  // Writes the transformed image into a slot of the same channels, height and width.
  void operator()(const ImageView& image, engine::Generator& random, const ImageSlot& slot) const;

  // The same for who does it elsewhere (engine::augment): how the image moves, drawn as above, and the normalised value
  // of each byte, (channels, 256) f32. Throws unless channels is 1 or 3.
  Motion draw(engine::Generator& random) const;
  engine::Tensor table(int channels) const;

 private:
  std::optional<Augment> augment_;  // none: nothing moves
  std::array<std::array<float, 256>, 3> table_;
};

inline Transform make_transform(const Augment& options) { return Transform(options); }
inline Transform make_transform(const Normalize& options) { return Transform(options); }

// Resizes so that the image just covers (height, width), then takes its centre of that size. Bilinear, over the area
// that a pixel of the result covers when shrinking: what PIL and torchvision's Resize do.
struct ImageSize {
  int height = 32, width = 32;
};
Image resize_and_center_crop(const ImageView& image, ImageSize size);
// The same, or the image itself where it has that size already.
Image resized(const Image& image, ImageSize size);

}  // namespace data
