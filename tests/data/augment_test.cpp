// engine::augment on the CPU beside the loader's transforms, bit for bit; tests/parity does the same on devices.
#include <algorithm>
#include <bit>

#include "data/transforms.h"
#include "engine/ops/image.h"
#include "engine/ops/shape_ops.h"
#include "tests/data/support.h"

namespace {

using data::Augment;
using data::Motion;
using data::Transform;
using engine::DType;
using engine::MemoryFormat;
using engine::Tensor;

constexpr MemoryFormat formats[] = {MemoryFormat::contiguous, MemoryFormat::channels_last, MemoryFormat::batch_lanes};

// Images of random bytes.
Tensor random_images(const engine::Shape& shape) {
  const Tensor x = Tensor::empty(shape, {.dtype = DType::u8});
  engine::Generator random(3);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<uint8_t>()[i] = static_cast<uint8_t>(random.below(256));
  return x;
}

data::ImageView view(const Tensor& images, int64_t n) {
  const auto size = [&](int axis) { return static_cast<int>(images.size(axis)); };
  return {images.data<uint8_t>() + n * images.numel() / images.size(0), size(1), size(2), size(3)};
}

std::vector<uint32_t> bits(const Tensor& x) {
  std::vector<uint32_t> out;
  for (const float value : x.to<float>()) out.push_back(std::bit_cast<uint32_t>(value));
  return out;
}

// What the transform writes for each image, whose generator has its number.
Tensor transformed(const Transform& transform, const Tensor& images) {
  const Tensor y = Tensor::empty(images.shape());
  const engine::Strides& s = y.strides();
  for (int64_t n = 0; n < y.size(0); ++n) {
    engine::Generator random(n);
    transform(view(images, n), random, {y.data<float>() + n * s[0], s[1], s[2], s[3]});
  }
  return y;
}

Tensor drawn_motions(const Transform& transform, const Tensor& images) {
  const Tensor motions = Tensor::empty({images.size(0), engine::PixelMotion::numbers}, {.dtype = DType::i64});
  for (int64_t n = 0; n < images.size(0); ++n) {
    engine::Generator random(n);
    const data::ImageView image = view(images, n);
    data::pixel_motion(image.height, image.width, transform.draw(random))
        .write(motions.data<int64_t>() + n * engine::PixelMotion::numbers);
  }
  return motions;
}

TEST_CASE("augment: the bits of the transforms, for every size and memory format") {
  const Transform transforms[] = {Transform(Augment{}), Transform(Augment{.crop_padding = 9, .rotation_degrees = 180}),
                                  Transform(Augment{.crop_padding = 0, .flip = true, .rotation_degrees = 0}),
                                  Transform(data::Normalize{})};
  for (const engine::Shape& shape :
       {engine::Shape{1, 3, 1, 1}, engine::Shape{19, 1, 1, 1}, engine::Shape{16, 3, 1, 7}, engine::Shape{17, 3, 5, 3},
        engine::Shape{40, 1, 9, 12}, engine::Shape{33, 3, 32, 32}, engine::Shape{2, 3, 45, 31}}) {
    CAPTURE(shape.str());
    const Tensor images = random_images(shape);
    for (const Transform& transform : transforms) {
      const auto wanted = bits(transformed(transform, images));
      const Tensor motions = drawn_motions(transform, images);
      const Tensor table = transform.table(static_cast<int>(shape[1]));
      for (const MemoryFormat format : formats) {
        const Tensor y = engine::augment(images, motions, table, format);
        CHECK(y.is_dense(format));
        CHECK(bits(y) == wanted);
      }
    }
  }
}

TEST_CASE("augment: images, motions and tables may lie in any way") {
  const Transform transform{Augment{}};
  const Tensor images = random_images({18, 3, 6, 7});
  const Tensor motions = drawn_motions(transform, images), table = transform.table(3);
  const auto wanted = bits(transformed(transform, images));
  for (const MemoryFormat format : formats)
    CHECK(bits(engine::augment(engine::contiguous(images, format), motions, table)) == wanted);
  const Tensor turned = engine::contiguous(engine::transpose(images, 2, 3));
  CHECK(bits(engine::augment(engine::transpose(turned, 2, 3), motions, table)) == wanted);
  const Tensor columns = engine::contiguous(engine::transpose(motions, 0, 1));
  const Tensor grey = engine::expand_to(engine::slice(table, {.end = 1}), {3, 256});
  CHECK(bits(engine::augment(images, engine::transpose(columns, 0, 1), grey)) ==
        bits(engine::augment(images, motions, engine::contiguous(grey))));
}

TEST_CASE("augment: lanes without an image are zero") {
  const Transform transform{data::Normalize{}};  // of which black is not zero
  const Tensor images = random_images({19, 3, 4, 4});
  const Tensor y =
      engine::augment(images, drawn_motions(transform, images), transform.table(3), MemoryFormat::batch_lanes);
  const Tensor empty = engine::slice(engine::select(y.groups(), 0, 1), {.axis = 3, .start = 3});
  CHECK(empty.numel() == 3 * 4 * 4 * 13);
  for (const float value : empty.to<float>()) CHECK(value == 0);
}

TEST_CASE("augment: no images") {
  const Transform transform{Augment{}};
  const Tensor none = Tensor::empty({0, 3, 4, 4}, {.dtype = DType::u8});
  const Tensor y = engine::augment(none, drawn_motions(transform, none), transform.table(3));
  CHECK(y.shape() == engine::Shape{0, 3, 4, 4});
}

TEST_CASE("augment: a motion read back is the one written") {
  const engine::PixelMotion motion =
      data::pixel_motion(9, 12, {.crop_x = -3, .crop_y = 2, .flip = true, .degrees = 11.25});
  std::vector<int64_t> numbers(2 * engine::PixelMotion::numbers, -1);
  motion.write(numbers.data() + engine::PixelMotion::numbers);
  const auto again = engine::PixelMotion::read(numbers.data(), 1);
  for (int row = 0; row < 9; ++row)
    for (int column = 0; column < 12; ++column) {
      const engine::SourcePixel a = motion.source(row, column, 9, 12), b = again.source(row, column, 9, 12);
      CHECK(a.inside == b.inside);
      CHECK(a.row == b.row);
      CHECK(a.column == b.column);
    }
}

TEST_CASE("transforms: the table of each number of channels") {
  const Transform transform{data::Normalize{{0.5f, 0.25f, 0}, {0.5f, 1, 1}}};
  const std::vector<float> three = transform.table(3).to<float>(), one = transform.table(1).to<float>();
  CHECK(three.size() == 3 * 256);
  CHECK(one == std::vector<float>(three.begin(), three.begin() + 256));
  CHECK(three[256 + 51] == 51 / 255.0f - 0.25f);
  CHECK_ERROR(transform.table(2), "2 channels");
}

TEST_CASE("transforms: drawing takes the numbers that transforming takes") {
  const auto set = test::numbered_set({1}, 6, 5);
  std::vector<float> slot(3 * 30);
  for (const Transform& transform :
       {Transform(Augment{}), Transform(Augment{.crop_padding = 0, .flip = false, .rotation_degrees = 0}),
        Transform(data::Normalize{})}) {
    engine::Generator drawn(8), transformed_by(8);
    transform.draw(drawn);
    transform(set->image(0), transformed_by, {slot.data(), 30, 5, 1});
    CHECK(drawn.state() == transformed_by.state());
  }
}

}  // namespace
