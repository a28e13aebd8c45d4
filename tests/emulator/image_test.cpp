// Images moved and normalised by the device, beside the CPU, bit for bit.
#include "engine/ops/image.h"
#include "data/transforms.h"
#include "engine/ops/elementwise.h"
#include "tests/emulator/support.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::test;

namespace {

Tensor images_of(const Shape& shape) { return cast(random_indices(shape, 256), DType::u8); }

// Of images so large: crops, flips, and angles of the whole circle.
Tensor motions_of(const Shape& images) {
  Generator random(images.numel());
  const Tensor motions = Tensor::empty({images[0], PixelMotion::numbers}, {.dtype = DType::i64});
  for (int64_t n = 0; n < images[0]; ++n)
    data::pixel_motion(static_cast<int>(images[2]), static_cast<int>(images[3]),
                       {.crop_x = static_cast<int>(random.below(9)) - 4,
                        .crop_y = static_cast<int>(random.below(9)) - 4,
                        .flip = random.below(2) == 1,
                        .degrees = random.uniform(-180, 180)})
        .write(motions.data<int64_t>() + n * PixelMotion::numbers);
  return motions;
}

// Every value another one, so that a channel's row taken for another's shows.
Tensor table_of(int64_t channels) {
  return reshape(affine(cast(Tensor::arange(channels * 256), DType::f32), {.scale = 0.25, .shift = 1}),
                 {channels, 256});
}

void compare(const Tensor& images) {
  CAPTURE(images.str());
  const Device cuda = open_device("cuda");
  const Tensor motions = motions_of(images.shape()), table = table_of(images.size(1));
  for (const MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last}) {
    const std::vector<float> wanted = augment(images, motions, table, format).to<float>();
    in_every_order([&] {
      const Tensor y = augment(images.to(cuda), motions.to(cuda), table.to(cuda), format);
      CHECK(y.is_dense(format));
      CHECK(y.to<float>() == wanted);
    });
  }
}

}  // namespace

TEST_CASE("augment on the device gives what the CPU gives") {
  DEVICE_OR_SKIP(device);
  for (const Shape& shape : {Shape{1, 3, 1, 1}, Shape{5, 1, 1, 1}, Shape{2, 3, 1, 7}, Shape{3, 3, 5, 3},
                             Shape{2, 1, 13, 8}, Shape{2, 3, 32, 32}, Shape{0, 3, 4, 4}})
    compare(images_of(shape));
}

// More elements than the emulated device's threads in one round.
TEST_CASE("augment of many images") {
  DEVICE_OR_SKIP(device);
  compare(images_of({12, 3, 32, 32}));
}

TEST_CASE("augment of images that lie in any way") {
  DEVICE_OR_SKIP(device);
  const Tensor images = images_of({3, 3, 6, 8});
  compare(contiguous(images, MemoryFormat::channels_last));
  compare(transpose(images, 2, 3));
  compare(slice(images, {.axis = 3, .start = 1, .step = 2}));
  compare(expand_to(slice(images, {.axis = 1, .end = 1}), {3, 3, 6, 8}));
}

TEST_CASE("augment on a device has no batch_lanes") {
  DEVICE_OR_SKIP(device);
  const Tensor images = images_of({2, 3, 4, 4}).to(device);
  const std::string error = error_of([&] {
    augment(images, motions_of(images.shape()).to(images.device()), table_of(3).to(images.device()),
            MemoryFormat::batch_lanes);
  });
  CHECK(contains(error, "[augment] batch_lanes is a format of the CPU: use channels_last on cuda:0"));
}
