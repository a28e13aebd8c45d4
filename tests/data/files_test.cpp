#include "data/folder.h"
#include "data/idx.h"
#include "data/image_file.h"
#include "data/open.h"
#include "tests/data/support.h"

namespace {

using test::golden;

// An IDX file of unsigned bytes with `shape` and the values 0, 1, 2, ...
std::string idx_bytes(const std::vector<int>& shape) {
  std::string bytes = {0, 0, 8, static_cast<char>(shape.size())};
  int count = 1;
  for (int dim : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(dim >> shift));
    count *= dim;
  }
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

TEST_CASE("idx: plain and gzipped") {
  const TemporaryFolder folder;
  test::write_file(folder / "plain", idx_bytes({2, 3, 4}));
  test::write_gzip(folder / "packed.gz", idx_bytes({2, 3, 4}));
  for (const char* name : {"plain", "packed.gz"}) {
    const data::IdxArray array = data::read_idx(folder / name);
    CHECK(array.shape == std::vector<int64_t>{2, 3, 4});
    REQUIRE(array.values.size() == 24);
    for (int i = 0; i < 24; ++i) CHECK(array.values[i] == i);
  }
}

TEST_CASE("idx: broken files") {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& content) {
    test::write_file(folder / "x", content);
    return data::read_idx(folder / "x");
  };
  const std::string good = idx_bytes({2, 3});
  CHECK_ERROR(read("PNG?"), "x, offset 0", "00 00");
  CHECK_ERROR(read(std::string({0, 0, 0x0d, 1})), "x, offset 2: type 0x0d", "0x08");
  CHECK_ERROR(read(std::string({0, 0, 8, 9})), "offset 3: 9 dimensions");
  CHECK_ERROR(read(good.substr(0, 2)), "truncated", "offset 2", "header");
  CHECK_ERROR(read(good.substr(0, 10)), "truncated", "offset 10", "dimensions");
  CHECK_ERROR(read(good.substr(0, 15)), "x, offset 12", "6 bytes of values", "15 bytes in all");
  CHECK_ERROR(read(good + "?"), "offset 18", "expected the end");
  CHECK_ERROR(read(std::string({0, 0, 8, 2, 127, 127, 127, 127, 127, 127, 127, 127})), "too large");
  test::write_gzip(folder / "y.gz", idx_bytes({200, 30}));
  const std::string packed = test::read_file(folder / "y.gz");
  test::write_file(folder / "y.gz", packed.substr(0, packed.size() / 2));
  CHECK_ERROR(data::read_idx(folder / "y.gz"), "y.gz is truncated");
  std::string damaged = packed;
  damaged[packed.size() / 2] = static_cast<char>(~damaged[packed.size() / 2]);
  test::write_file(folder / "y.gz", damaged);
  CHECK_ERROR(data::read_idx(folder / "y.gz"), "y.gz");
  CHECK_ERROR(data::read_idx(folder / "none"), "can't open", "none", "No such file");
  CHECK_ERROR(data::read_idx(folder.path.string()), "is a folder");
}

TEST_CASE("fashion-mnist: small files, padded and replicated") {
  const TemporaryFolder folder;
  std::string labels = idx_bytes({2});
  labels[8] = 9;
  test::write_file(folder / "train-images-idx3-ubyte", idx_bytes({2, 4, 3}));
  test::write_gzip(folder / "train-labels-idx1-ubyte.gz", labels);
  const auto set = data::load_fashion_mnist(folder.path.string(), true);
  CHECK(data::all_labels(*set) == std::vector<int64_t>{9, 1});
  CHECK(set->class_names()[9] == "Ankle boot");
  const data::PadAndReplicate padded(set, {.channels = 3, .height = 8, .width = 8});
  const data::Image image = padded.image(1);
  REQUIRE(image.bytes() == 192);
  for (int c = 0; c < 3; ++c) {
    for (int y = 0; y < 8; ++y) {
      for (int x = 0; x < 8; ++x) {
        const bool inside = y >= 2 && y < 6 && x >= 2 && x < 5;
        CHECK(image.pixels[(c * 8 + y) * 8 + x] == (inside ? 12 + (y - 2) * 3 + x - 2 : 0));
      }
    }
  }
  CHECK_ERROR(data::PadAndReplicate(set, {3, 2, 8}).image(0), "(1, 4, 3)", "(3, 2, 8)");
  CHECK_ERROR(data::load_fashion_mnist(folder.path.string(), false), "t10k-images-idx3-ubyte", folder.path.string());
  labels[9] = 10;
  test::write_gzip(folder / "train-labels-idx1-ubyte.gz", labels);
  CHECK_ERROR(data::load_fashion_mnist(folder.path.string(), true), "offset 9: label 10, expected 0 to 9");
  test::write_gzip(folder / "train-labels-idx1-ubyte.gz", idx_bytes({3}));
  CHECK_ERROR(data::load_fashion_mnist(folder.path.string(), true), "has shape (3)", "2 images");
}

// A grey BMP of 24 bits a pixel, whose rows stand bottom up; `width` must be a multiple of 4.
std::string grey_bmp(const std::string& pixels, int width) {
  const int height = static_cast<int>(pixels.size()) / width;
  const auto word = [](int value) { return std::string(reinterpret_cast<const char*>(&value), 4); };
  std::string file = "BM" + word(54 + 3 * width * height) + word(0) + word(54) + word(40) + word(width) + word(height) +
                     std::string("\1\0\30\0", 4) + std::string(24, '\0');
  for (int y = height - 1; y >= 0; --y)
    for (int x = 0; x < width; ++x) file += std::string(3, pixels[y * width + x]);
  return file;
}

TEST_CASE("open: an image file is shown as the set's test images are") {
  const TemporaryFolder folder;
  test::write_file(folder / "t10k-images-idx3-ubyte", idx_bytes({1, 28, 28}));
  test::write_file(folder / "t10k-labels-idx1-ubyte", idx_bytes({1}));
  const auto set = data::load_fashion_mnist(folder.path.string(), false);
  const data::Image raw = set->image(0);
  test::write_file(folder / "small.bmp", grey_bmp({raw.pixels, raw.pixels + 28 * 28}, 28));
  const data::Image expected = data::PadAndReplicate(set, {.channels = 3, .height = 32, .width = 32}).image(0);
  const data::Image shown = data::load_as_test_image("fashion-mnist", folder / "small.bmp", 32);
  REQUIRE(shown.bytes() == expected.bytes());
  CHECK(std::equal(shown.pixels, shown.pixels + shown.bytes(), expected.pixels));
  // Of the full size already: taken as it is. Other sets have no border.
  test::write_file(folder / "full.bmp", grey_bmp({expected.pixels, expected.pixels + 32 * 32}, 32));
  const data::Image full = data::load_as_test_image("fashion-mnist", folder / "full.bmp", 32);
  CHECK(std::equal(full.pixels, full.pixels + full.bytes(), expected.pixels));
  test::write_file(folder / "flat.bmp", grey_bmp(std::string(28 * 28, '\x50'), 28));
  const data::Image stretched = data::load_as_test_image("cifar100", folder / "flat.bmp", 32);
  REQUIRE(stretched.bytes() == 3 * 32 * 32);
  for (int64_t i = 0; i < stretched.bytes(); ++i) CHECK(stretched.pixels[i] == 0x50);
}

TEST_CASE("open: the real Fashion-MNIST") {
  if (!test::fs::exists(data::default_fashion_mnist_dir)) {
    MESSAGE("skipped: no " << data::default_fashion_mnist_dir);
    return;
  }
  const data::Split split = data::open("fashion-mnist", "");
  CHECK(split.train->size() == 60000);
  CHECK(split.test->size() == 10000);
  CHECK(data::class_counts(*split.test) == std::vector<int64_t>(10, 1000));
  CHECK(split.train->image(0).bytes() == 3072);
  CHECK(split.train->label(0) == 9);
}

TEST_CASE("images: PNG, BMP, JPEG, grey") {
  for (const char* name : {"images/small.png", "images/small.bmp"}) {
    CAPTURE(name);
    const data::Image image = data::load_image(golden(name));
    REQUIRE(image.channels == 3);
    REQUIRE(image.height == 3);
    REQUIRE(image.width == 5);
    for (int y = 0; y < 3; ++y) {
      for (int x = 0; x < 5; ++x) {
        CHECK(image.pixels[y * 5 + x] == 40 * x);
        CHECK(image.pixels[15 + y * 5 + x] == 80 * y);
        CHECK(image.pixels[30 + y * 5 + x] == 200 - 10 * x);
      }
    }
  }
  const data::Image flat = data::load_image(golden("images/flat.jpg"));
  REQUIRE(flat.bytes() == 192);
  const int expected[] = {200, 100, 50};
  for (int i = 0; i < 192; ++i) CHECK(std::abs(flat.pixels[i] - expected[i / 64]) <= 3);  // JPEG loses a little
  const data::Image grey = data::load_image(golden("images/grey.png"));
  REQUIRE(grey.bytes() == 12);
  for (int i = 0; i < 12; ++i) CHECK(grey.pixels[i] == 77);
  CHECK_ERROR(data::load_image(golden("draw.txt")), "draw.txt", "PNG, JPEG or BMP");
  CHECK_ERROR(data::load_image(golden("none.png")), "none.png");
}

void copy_image(const std::string& name, const std::string& to) {
  test::fs::create_directories(test::fs::path(to).parent_path());
  test::fs::copy_file(golden("images/" + name), to);
}

TEST_CASE("folder: a tree, class by class") {
  const TemporaryFolder folder;
  copy_image("small.png", folder / "train/wolf/b.PNG");
  copy_image("flat.jpg", folder / "train/wolf/a.jpg");
  copy_image("small.bmp", folder / "train/ant/deep/c.bmp");
  test::write_file(folder / "train/ant/notes.txt", "no image");
  test::write_file(folder / "train/README", "no class");
  copy_image("small.png", folder / "val/wolf/x.png");
  const data::Split split = data::open("folder", folder.path.string());
  CHECK(split.train->class_names() == std::vector<std::string>{"ant", "wolf"});
  CHECK(data::all_labels(*split.train) == std::vector<int64_t>{0, 1, 1});
  CHECK(split.train->image(1).height == 8);
  CHECK(split.train->image(2).height == 3);
  CHECK(split.test->label(0) == 1);
  CHECK(split.test->num_classes() == 2);
  const data::Resized resized(split.train, {.height = 4, .width = 4});
  for (int i = 0; i < 3; ++i) CHECK(resized.image(i).bytes() == 48);
  CHECK_ERROR(split.train->image(3), "index 3");
  copy_image("small.png", folder / "val/bee/x.png");
  CHECK_ERROR(data::open("folder", folder.path.string()), "bee", "none of the 2 classes");
  CHECK_ERROR(data::load_image_folder(folder / "train/ant/deep"), "has no images");
  CHECK_ERROR(data::load_image_folder(folder / "train/README"), "is no folder");
}

TEST_CASE("list: paths and labels") {
  const TemporaryFolder folder;
  copy_image("small.png", folder / "images/with space.png");
  test::write_file(folder / "train.txt", "images/with space.png 2\r\n\nimages/gone.png 0\n");
  test::write_file(folder / "test.txt", "images/with space.png 1\n");
  const data::Split split = data::open("list", folder.path.string());
  CHECK(data::all_labels(*split.train) == std::vector<int64_t>{2, 0});
  CHECK(split.train->num_classes() == 3);
  CHECK(split.test->num_classes() == 3);
  CHECK(split.train->image(0).width == 5);
  CHECK_ERROR(split.train->image(1), "gone.png");
  test::write_file(folder / "test.txt", "a.png 0\nb.png 3\n");
  CHECK_ERROR(data::open("list", folder.path.string()), "test.txt, line 2: label 3, expected 0 to 2");
  for (const char* line : {"a.png", "a.png x", "a.png 1x", "a.png ", " 1"}) {
    CAPTURE(line);
    test::write_file(folder / "bad.txt", std::string("a.png 0\n") + line + "\n");
    CHECK_ERROR(data::load_list(folder.path.string(), folder / "bad.txt"), "bad.txt, line 2", "'path label'");
  }
  test::write_file(folder / "bad.txt", "a.png -1\n");
  CHECK_ERROR(data::load_list(folder.path.string(), folder / "bad.txt"), "line 1: label -1");
  test::write_file(folder / "bad.txt", "\n");
  CHECK_ERROR(data::load_list(folder.path.string(), folder / "bad.txt"), "no 'path label' line");
}

TEST_CASE("list: ImageNet-LT's") {
  const std::string list = test::shared_data("lists/ImageNet_LT_val.txt");
  if (list.empty()) return;
  const auto set = data::load_list("/nowhere", list);
  CHECK(set->size() == 20000);
  CHECK(set->num_classes() == 1000);
  CHECK_ERROR(set->image(0), "/nowhere/train/n01440764/n01440764_762.JPEG");
}

TEST_CASE("open: bad requests") {
  const TemporaryFolder folder;
  CHECK_ERROR(data::open("cifar", folder.path.string()), "'cifar'", "cifar100, cifar10, fashion-mnist, folder, list");
  CHECK_ERROR(data::open("cifar100", ""), "cifar100 needs the folder");
  CHECK_ERROR(data::open("cifar100", folder / "gone"), "gone does not exist");
  CHECK_ERROR(data::open("folder", folder.path.string()), "looked for the folders train and test");
  CHECK_ERROR(data::open("list", folder.path.string()), "looked for train.txt");
}

TEST_CASE("dataset: subsets and contents that don't fit") {
  const auto set = test::numbered_set({2, 3});
  const data::Subset subset(set, {4, 0});
  CHECK(data::all_labels(subset) == std::vector<int64_t>{1, 0});
  CHECK(subset.image(1).pixels == set->image(0).pixels);
  CHECK(data::class_counts(subset) == std::vector<int64_t>{1, 1});
  CHECK_ERROR(data::Subset(set, {0, 5}), "index 5", "5 images");
  CHECK_ERROR(subset.image(2), "index 2");
  data::MemoryDataset::Content content{"x", 1, 2, 2, std::vector<uint8_t>(8), {0, 2}, {"a", "b"}};
  CHECK_ERROR(data::MemoryDataset{content}, "image 1 has label 2, expected 0 to 1");
  content.labels = {0};
  CHECK_ERROR(data::MemoryDataset{content}, "need 4 bytes", "got 8");
}

}  // namespace
