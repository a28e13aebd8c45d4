#include "engine/kernels/image.h"

#include <cstring>

#include "engine/core/parallel.h"
#include "engine/cpu/table.h"
#include "engine/kernels/count_work.h"

namespace engine::cpu {
namespace {

// Where image n of a tensor begins and how far apart its neighbours lie, in any format.
struct ImagePlaces {
  int64_t image, lane;  // from one group of images to the next, from one image of a group to the next
  int64_t group_size;
  int64_t channel, row, column;

  int64_t begin(int64_t n) const { return n / group_size * image + n % group_size * lane; }
};

ImagePlaces places_of(const Tensor& x) {
  if (x.format() != MemoryFormat::batch_lanes) {
    const Strides& s = x.strides();
    return {s[0], 0, 1, s[1], s[2], s[3]};
  }
  const Strides& s = x.groups().strides();
  return {s[0], s[4], images_per_group, s[1], s[2], s[3]};
}

// The lanes of images that don't exist stay zero: the last group is cleared where it has some.
void clear_empty_lanes(const Tensor& y) {
  if (y.format() != MemoryFormat::batch_lanes || y.size(0) % images_per_group == 0) return;
  const Tensor groups = y.groups();
  const int64_t group = groups.strides()[0];
  std::memset(y.data<float>() + (groups.size(0) - 1) * group, 0, static_cast<std::size_t>(group) * sizeof(float));
}

void augment(const Tensor& x, const Tensor& motions, const Tensor& table, const Tensor& y) {
  if (y.numel() == 0) return;
  count_passed(x, y);
  clear_empty_lanes(y);
  const int64_t channels = x.size(1), height = x.size(2), width = x.size(3);
  const ImagePlaces xs = places_of(x), ys = places_of(y);
  parallel_for(x.size(0), 1, [&](int64_t n, int64_t end) {
    for (; n < end; ++n) {
      const PixelMotion motion = PixelMotion::read(motions.data<int64_t>(), n);
      const uint8_t* image = x.data<uint8_t>() + xs.begin(n);
      float* out = y.data<float>() + ys.begin(n);
      for (int64_t h = 0; h < height; ++h)
        for (int64_t w = 0; w < width; ++w) {
          const SourcePixel from = motion.source(h, w, height, width);
          const int64_t at = from.row * xs.row + from.column * xs.column;
          for (int64_t c = 0; c < channels; ++c)
            out[c * ys.channel + h * ys.row + w * ys.column] =
                table.data<float>()[256 * c + (from.inside ? image[c * xs.channel + at] : 0)];
        }
    }
  });
}

}  // namespace

void fill(ImageKernels& table) { table.augment = augment; }

}  // namespace engine::cpu
