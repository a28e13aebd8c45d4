#include "data/transforms.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#define STB_IMAGE_RESIZE_IMPLEMENTATION
#define STB_IMAGE_RESIZE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_resize.h>
#pragma GCC diagnostic pop

#include "engine/core/error.h"

namespace data {

using engine::check;

namespace {

// The normalised value of each byte, per channel: one lookup instead of a division per pixel.
using Table = std::array<std::array<float, 256>, 3>;

Table normalization_table(const std::array<float, 3>& mean, const std::array<float, 3>& std) {
  Table table;
  for (int c = 0; c < 3; ++c) {
    check(std[c] > 0, "transforms", "std of channel {} is {}, expected more than 0", c, std[c]);
    for (int v = 0; v < 256; ++v) table[c][v] = (static_cast<float>(v) / 255.0f - mean[c]) / std[c];
  }
  return table;
}

void check_channels(const ImageView& image) {
  check(image.channels == 1 || image.channels == 3, "transforms", "image has {} channels, expected 1 or 3",
        image.channels);
}

void write_image(const ImageView& image, const Table& table, const ImageSlot& slot) {
  check_channels(image);
  const int64_t plane = int64_t{image.height} * image.width;
  for (int c = 0; c < image.channels; ++c) {
    const uint8_t* source = image.pixels + c * plane;
    for (int y = 0; y < image.height; ++y) {
      float* row = slot.values + c * slot.channel_stride + y * slot.row_stride;
      for (int x = 0; x < image.width; ++x) row[x * slot.column_stride] = table[c][*source++];
    }
  }
}

void write_moved(const ImageView& image, const Motion& motion, const Table& table, const ImageSlot& slot) {
  check_channels(image);
  const std::vector<int32_t> sources = source_pixels(image.height, image.width, motion);
  const int64_t plane = int64_t{image.height} * image.width;
  for (int c = 0; c < image.channels; ++c) {
    const uint8_t* source = image.pixels + c * plane;
    const int32_t* from = sources.data();
    for (int y = 0; y < image.height; ++y) {
      float* row = slot.values + c * slot.channel_stride + y * slot.row_stride;
      for (int x = 0; x < image.width; ++x, ++from) {
        row[x * slot.column_stride] = table[c][*from < 0 ? 0 : source[*from]];
      }
    }
  }
}

// v in 16.16 fixed point, rounded to nearest.
int64_t fixed(double v) { return static_cast<int64_t>(std::floor(v * 65536.0 + 0.5)); }

}  // namespace

// Walks the result and asks for each pixel's centre: where was it before the rotation, the flip, the crop?
//   rotation by a:  x' = cos a (x - cx) - sin a (y - cy) + cx,   y' = sin a (x - cx) + cos a (y - cy) + cy
std::vector<int32_t> source_pixels(int height, int width, const Motion& motion) {
  const double angle = motion.degrees * std::numbers::pi / 180, cosine = std::cos(angle), sine = std::sin(angle);
  const double cx = width / 2.0, cy = height / 2.0;
  const int64_t dx = fixed(cosine), dy = fixed(sine);  // of x' and y' along a row
  const int64_t first_x = fixed(cosine * (0.5 - cx) - sine * (0.5 - cy) + cx);
  const int64_t first_y = fixed(sine * (0.5 - cx) + cosine * (0.5 - cy) + cy);
  std::vector<int32_t> sources(static_cast<std::size_t>(height) * width);
  int32_t* out = sources.data();
  for (int row = 0; row < height; ++row) {
    int64_t x_fixed = first_x + row * fixed(-sine), y_fixed = first_y + row * dx;
    for (int column = 0; column < width; ++column, x_fixed += dx, y_fixed += dy) {
      int64_t x = x_fixed >> 16, y = y_fixed >> 16;
      const bool inside = x >= 0 && x < width && y >= 0 && y < height;
      if (motion.flip) x = width - 1 - x;
      x += motion.crop_x;
      y += motion.crop_y;
      const bool found = inside && x >= 0 && x < width && y >= 0 && y < height;
      *out++ = found ? static_cast<int32_t>(y * width + x) : -1;
    }
  }
  return sources;
}

Transform make_transform(const Augment& options) {
  check(options.crop_padding >= 0, "transforms", "crop padding is {}, expected 0 or more", options.crop_padding);
  check(options.rotation_degrees >= 0, "transforms", "rotation is {} degrees, expected 0 or more",
        options.rotation_degrees);
  return [options, table = normalization_table(options.mean, options.std)](
             const ImageView& image, engine::Generator& random, const ImageSlot& slot) {
    const float y = random.uniform(), x = random.uniform(), side = random.uniform(), turn = random.uniform();
    const int positions = 2 * options.crop_padding + 1;
    Motion motion;
    motion.crop_y = static_cast<int>(y * positions) - options.crop_padding;
    motion.crop_x = static_cast<int>(x * positions) - options.crop_padding;
    motion.flip = options.flip && side < 0.5f;
    motion.degrees = (2.0 * turn - 1.0) * options.rotation_degrees;
    write_moved(image, motion, table, slot);
  };
}

Transform make_transform(const Normalize& options) {
  return [table = normalization_table(options.mean, options.std)](
             const ImageView& image, engine::Generator&, const ImageSlot& slot) { write_image(image, table, slot); };
}

Image resize_and_center_crop(const ImageView& image, ImageSize size) {
  check(image.height > 0 && image.width > 0 && size.height > 0 && size.width > 0, "resize",
        "can't resize ({}, {}, {}) to {} x {}", image.channels, image.height, image.width, size.height, size.width);
  const double scale =
      std::max(static_cast<double>(size.height) / image.height, static_cast<double>(size.width) / image.width);
  const int height = std::max(size.height, static_cast<int>(std::lround(image.height * scale)));
  const int width = std::max(size.width, static_cast<int>(std::lround(image.width * scale)));
  const int top = (height - size.height) / 2, left = (width - size.width) / 2;
  std::vector<uint8_t> plane(static_cast<std::size_t>(height) * width);
  const NewImage result = new_image(image.channels, size.height, size.width);
  for (int c = 0; c < image.channels; ++c) {
    const uint8_t* source = image.pixels + int64_t{c} * image.height * image.width;
    const int ok = stbir_resize_uint8_generic(source, image.width, image.height, 0, plane.data(), width, height, 0, 1,
                                              STBIR_ALPHA_CHANNEL_NONE, 0, STBIR_EDGE_CLAMP, STBIR_FILTER_TRIANGLE,
                                              STBIR_COLORSPACE_LINEAR, nullptr);
    check(ok != 0, "resize", "out of memory for {} x {} pixels", height, width);
    for (int y = 0; y < size.height; ++y) {
      std::memcpy(result.pixels + (int64_t{c} * size.height + y) * size.width,
                  plane.data() + int64_t{top + y} * width + left, size.width);
    }
  }
  return result.image;
}

Image resized(const Image& image, ImageSize size) {
  return image.height == size.height && image.width == size.width ? image : resize_and_center_crop(image, size);
}

}  // namespace data
