#include <algorithm>
#include <chrono>
#include <fstream>

#include "data/image_file.h"
#include "data/transforms.h"
#include "tests/data/support.h"

namespace {

using data::Augment;
using data::ImageSlot;
using data::ImageView;
using data::Motion;
using data::Normalize;

constexpr std::array<float, 3> zeros = {0, 0, 0};
constexpr std::array<float, 3> ones_over_255 = {1 / 255.0f, 1 / 255.0f, 1 / 255.0f};

// The transformed image as (C, H, W) floats.
std::vector<float> apply(const data::Transform& transform, const ImageView& image, engine::Generator random) {
  std::vector<float> values(image.bytes(), -1000.0f);
  transform(image, random, {values.data(), int64_t{image.height} * image.width, image.width, 1});
  return values;
}

std::vector<int32_t> identity(int height, int width) {
  std::vector<int32_t> map(height * width);
  for (int i = 0; i < height * width; ++i) map[i] = i;
  return map;
}

TEST_CASE("transforms: no motion moves nothing") {
  CHECK(data::source_pixels(4, 4, {}) == identity(4, 4));
  CHECK(data::source_pixels(5, 3, {}) == identity(5, 3));
  CHECK(data::source_pixels(1, 1, {}) == identity(1, 1));
}

TEST_CASE("transforms: flip, crop, rotation by a right angle") {
  CHECK(data::source_pixels(2, 3, {.flip = true}) == std::vector<int32_t>{2, 1, 0, 5, 4, 3});
  // The window starts one row lower and one column to the left of the image.
  CHECK(data::source_pixels(2, 3, {.crop_x = -1, .crop_y = 1}) == std::vector<int32_t>{-1, 3, 4, -1, -1, -1});
  // Counter-clockwise: the right column becomes the top row.
  CHECK(data::source_pixels(3, 3, {.degrees = 90}) == std::vector<int32_t>{2, 5, 8, 1, 4, 7, 0, 3, 6});
  CHECK(data::source_pixels(3, 3, {.degrees = -90}) == std::vector<int32_t>{6, 3, 0, 7, 4, 1, 8, 5, 2});
  CHECK(data::source_pixels(2, 2, {.degrees = 180}) == std::vector<int32_t>{3, 2, 1, 0});
}

TEST_CASE("transforms: the order is crop, flip, rotate") {
  // 0 1 2      crop 1 to the right: 1 2 .      flip: . 2 1      rotate 90 counter-clockwise: 1 4 7
  // 3 4 5                           4 5 .            . 5 4                                   2 5 8
  // 6 7 8                           7 8 .            . 8 7                                   . . .
  CHECK(data::source_pixels(3, 3, {.crop_x = 1, .flip = true, .degrees = 90}) ==
        std::vector<int32_t>{1, 4, 7, 2, 5, 8, -1, -1, -1});
}

TEST_CASE("transforms: rotation takes the pixels that PIL takes") {
  std::ifstream file(test::golden("rotations.txt"));
  int height = 0, width = 0, cases = 0;
  double degrees = 0;
  while (file >> height >> width >> degrees) {
    CAPTURE(degrees);
    std::vector<int32_t> expected(height * width);
    for (int32_t& value : expected) file >> value;
    CHECK(data::source_pixels(height, width, {.degrees = degrees}) == expected);
    ++cases;
  }
  CHECK(cases == 9);
}

TEST_CASE("transforms: normalise") {
  const auto set = test::numbered_set({1}, 2, 2);
  const data::Image image = set->image(0);
  const Normalize options{{0.5f, 0.25f, 0.0f}, {0.5f, 0.25f, 1.0f}};
  const auto values = apply(data::make_transform(options), image, engine::Generator(0));
  for (int i = 0; i < 12; ++i) {
    const float x = static_cast<float>(image.pixels[i]) / 255.0f;
    CHECK(values[i] == (x - options.mean[i / 4]) / options.std[i / 4]);
  }
}

TEST_CASE("transforms: an augmentation with everything off is the normalisation") {
  const auto set = test::numbered_set({3}, 6, 5);
  const auto plain = data::make_transform(data::cifar_normalization);
  const auto off = data::make_transform(Augment{.crop_padding = 0, .flip = false, .rotation_degrees = 0});
  for (int i = 0; i < 3; ++i) {
    CHECK(apply(plain, set->image(i), engine::Generator(1)) == apply(off, set->image(i), engine::Generator(i)));
  }
}

TEST_CASE("transforms: what comes from outside is black before it is normalised") {
  std::vector<uint8_t> white(3 * 8 * 8, 255);
  const auto transform = data::make_transform(Augment{});
  const auto norm = data::cifar_normalization;
  bool black_seen = false;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto values = apply(transform, {white.data(), 3, 8, 8}, engine::Generator(seed));
    for (int i = 0; i < 3 * 64; ++i) {
      const float black = (0.0f - norm.mean[i / 64]) / norm.std[i / 64];
      const float bright = (1.0f - norm.mean[i / 64]) / norm.std[i / 64];
      CHECK((values[i] == black || values[i] == bright));
      black_seen |= values[i] == black;
    }
  }
  CHECK(black_seen);
}

TEST_CASE("transforms: crops reach every position, flips half the images, angles the whole range") {
  const int size = 9, padding = 2, trials = 2000;
  std::vector<uint8_t> pixels(size * size, 0);
  pixels[4 * size + 4] = 200;
  pixels[4 * size + 5] = 100;  // to the right of the 200, unless flipped
  const auto transform = data::make_transform(
      Augment{.crop_padding = padding, .rotation_degrees = 0, .mean = zeros, .std = ones_over_255});
  std::vector<int> rows(size), columns(size);
  int flipped = 0;
  for (uint64_t seed = 0; seed < trials; ++seed) {
    const auto values = apply(transform, {pixels.data(), 1, size, size}, engine::Generator(seed));
    const auto at = std::find_if(values.begin(), values.end(), [](float v) { return v > 150; }) - values.begin();
    ++rows[at / size];
    ++columns[at % size];
    flipped += at % size > 0 && values[at - 1] > 50;
  }
  for (int place = 2; place <= 6; ++place) {  // expected 400 each, standard deviation 18
    CHECK(std::abs(rows[place] - trials / 5) < 90);
    CHECK(std::abs(columns[place] - trials / 5) < 90);
  }
  CHECK(std::abs(flipped - trials / 2) < 110);  // standard deviation 22
}

TEST_CASE("transforms: memory formats hold the same image") {
  const auto set = test::numbered_set({1}, 4, 6);
  const data::Image image = set->image(0);
  const auto transform = data::make_transform(Augment{});
  const auto planar = apply(transform, image, engine::Generator(5));
  std::vector<float> interleaved(planar.size());
  engine::Generator random(5);
  transform(image, random, {interleaved.data(), 1, 18, 3});
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 24; ++i) CHECK(interleaved[i * 3 + c] == planar[c * 24 + i]);
  }
}

TEST_CASE("transforms: bad options and images") {
  CHECK_ERROR(data::make_transform(Augment{.crop_padding = -1}), "crop padding is -1");
  CHECK_ERROR(data::make_transform(Augment{.rotation_degrees = -5}), "rotation is -5");
  CHECK_ERROR(data::make_transform(Normalize{zeros, {1, 0, 1}}), "std of channel 1 is 0");
  std::vector<uint8_t> pixels(2 * 4);
  CHECK_ERROR(apply(data::make_transform(Normalize{}), {pixels.data(), 2, 2, 2}, engine::Generator(0)), "2 channels");
}

TEST_CASE("transforms: resize and centre crop") {
  // A 4 x 8 image whose halves are 10 and 90: the centre 4 x 4 has two columns of each.
  std::vector<uint8_t> wide(4 * 8);
  for (int i = 0; i < 32; ++i) wide[i] = i % 8 < 4 ? 10 : 90;
  const auto cropped = data::resize_and_center_crop({wide.data(), 1, 4, 8}, {.height = 4, .width = 4});
  for (int i = 0; i < 16; ++i) CHECK(cropped.pixels[i] == (i % 4 < 2 ? 10 : 90));
  std::vector<uint8_t> flat(3 * 50 * 70, 123);
  const auto small = data::resize_and_center_crop({flat.data(), 3, 50, 70}, {.height = 32, .width = 32});
  CHECK(small.bytes() == 3 * 32 * 32);
  CHECK(std::all_of(small.pixels, small.pixels + small.bytes(), [](uint8_t v) { return v == 123; }));
}

TEST_CASE("transforms: resize as PIL does") {
  std::vector<uint8_t> waves(25 * 40);
  for (int y = 0; y < 25; ++y) {
    for (int x = 0; x < 40; ++x) waves[y * 40 + x] = static_cast<uint8_t>(x * x / 7 + 3 * y);
  }
  const auto small = data::resize_and_center_crop({waves.data(), 1, 25, 40}, {.height = 10, .width = 10});
  std::ifstream file(test::golden("resized.txt"));
  for (int i = 0; i < 100; ++i) {
    int expected = -100;
    file >> expected;
    CHECK(std::abs(small.pixels[i] - expected) <= 1);  // PIL rounds after each of its two passes
  }
}

TEST_CASE("transforms: more than 5,000 augmented images a second on one core") {
  const auto set = test::numbered_set({100}, 32, 32);
  const auto transform = data::make_transform(Augment{});
  std::vector<float> slot(3 * 32 * 32);
  double best = 0;
  for (int round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 1000; ++i) {
      engine::Generator random(0, i);
      transform(set->image(i % 100), random, {slot.data(), 1, 96, 3});
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::max(best, 1000 / seconds.count());
  }
  MESSAGE("augmented 32x32 images per second on one core: " << static_cast<int64_t>(best));
  CHECK(best > 5000);
}

}  // namespace
