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

void check_channels(int channels) {
  check(channels == 1 || channels == 3, "transforms", "image has {} channels, expected 1 or 3", channels);
}

void write_image(const ImageView& image, const Table& table, const ImageSlot& slot) {
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

engine::PixelMotion pixel_motion(int height, int width, const Motion& motion) {
  const double angle = motion.degrees * std::numbers::pi / 180, cosine = std::cos(angle), sine = std::sin(angle);
  const double cx = width / 2.0, cy = height / 2.0;
  return {.first_x = fixed(cosine * (0.5 - cx) - sine * (0.5 - cy) + cx),
          .first_y = fixed(sine * (0.5 - cx) + cosine * (0.5 - cy) + cy),
          .cosine = fixed(cosine),
          .sine = fixed(sine),
          .minus_sine = fixed(-sine),
          .flip = motion.flip,
          .crop_x = motion.crop_x,
          .crop_y = motion.crop_y};
}

std::vector<int32_t> source_pixels(int height, int width, const Motion& motion) {
  const engine::PixelMotion moved = pixel_motion(height, width, motion);
  std::vector<int32_t> sources(static_cast<std::size_t>(height) * width);
  int32_t* out = sources.data();
  for (int row = 0; row < height; ++row)
    for (int column = 0; column < width; ++column) {
      const engine::SourcePixel from = moved.source(row, column, height, width);
      *out++ = from.inside ? static_cast<int32_t>(from.row * width + from.column) : -1;
    }
  return sources;
}

Transform::Transform(const Augment& options)
    : augment_(options), table_(normalization_table(options.mean, options.std)) {
  check(options.crop_padding >= 0, "transforms", "crop padding is {}, expected 0 or more", options.crop_padding);
  check(options.rotation_degrees >= 0, "transforms", "rotation is {} degrees, expected 0 or more",
        options.rotation_degrees);
}

Transform::Transform(const Normalize& options) : table_(normalization_table(options.mean, options.std)) {}

void Transform::operator()(const ImageView& image, engine::Generator& random, const ImageSlot& slot) const {
  check_channels(image.channels);
  if (augment_)
    write_moved(image, draw(random), table_, slot);
  else
    write_image(image, table_, slot);
}

Motion Transform::draw(engine::Generator& random) const {
  if (!augment_) return {};
  const float y = random.uniform(), x = random.uniform(), side = random.uniform(), turn = random.uniform();
  const int positions = 2 * augment_->crop_padding + 1;
  return {.crop_x = static_cast<int>(x * positions) - augment_->crop_padding,
          .crop_y = static_cast<int>(y * positions) - augment_->crop_padding,
          .flip = augment_->flip && side < 0.5f,
          .degrees = (2.0 * turn - 1.0) * augment_->rotation_degrees};
}

engine::Tensor Transform::table(int channels) const {
  check_channels(channels);
  const engine::Tensor values = engine::Tensor::empty({channels, 256});
  for (int c = 0; c < channels; ++c) std::ranges::copy(table_[c], values.data<float>() + 256 * c);
  return values;
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
