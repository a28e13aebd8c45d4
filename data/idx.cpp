#include "data/idx.h"

#include "data/input_file.h"
#include "engine/core/error.h"

namespace data {

using engine::check;

// Header: 0, 0, type (8: unsigned byte), rank, then each dimension as a big-endian 32-bit integer.
IdxArray read_idx(const std::string& path) {
  InputFile file(path);
  uint8_t magic[4];
  file.read(magic, sizeof magic, "the IDX header");
  check(magic[0] == 0 && magic[1] == 0, "idx", "{}, offset 0: bytes {:02x} {:02x}, expected 00 00 of an IDX file", path,
        magic[0], magic[1]);
  check(magic[2] == 8, "idx", "{}, offset 2: type 0x{:02x}, expected 0x08 (unsigned bytes)", path, magic[2]);
  check(magic[3] >= 1 && magic[3] <= 4, "idx", "{}, offset 3: {} dimensions, expected 1 to 4", path, magic[3]);
  IdxArray array;
  int64_t count = 1;
  for (int axis = 0; axis < magic[3]; ++axis) {
    uint8_t bytes[4];
    file.read(bytes, sizeof bytes, "the IDX dimensions");
    const int64_t dim = int64_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    array.shape.push_back(dim);
    check(dim == 0 || count <= (int64_t{1} << 40) / dim, "idx", "{}, offset {}: dimension {} is too large", path,
          file.offset() - 4, dim);
    count *= dim;
  }
  file.check_can_hold(count, "values");
  array.values.resize(count);
  file.read(array.values.data(), array.values.size(), "values");
  file.expect_end("the values that its dimensions announce");
  return array;
}

std::shared_ptr<const Dataset> load_fashion_mnist(const std::string& dir, bool train) {
  const std::string prefix = train ? "train" : "t10k";
  const std::string image_file = prefix + "-images-idx3-ubyte", label_file = prefix + "-labels-idx1-ubyte";
  const std::string images_path = find_file(dir, {}, {image_file, image_file + ".gz"});
  const std::string labels_path = find_file(dir, {}, {label_file, label_file + ".gz"});
  check(!images_path.empty() && !labels_path.empty(), "fashion-mnist",
        "no {}[.gz] in {}: looked for it and for {}[.gz]. Debian's package dataset-fashion-mnist puts them into {}",
        images_path.empty() ? image_file : label_file, dir, images_path.empty() ? label_file : image_file,
        default_fashion_mnist_dir);
  IdxArray images = read_idx(images_path);
  const IdxArray labels = read_idx(labels_path);
  check(images.shape.size() == 3, "fashion-mnist", "{} has {} dimensions, expected (images, rows, columns)",
        images_path, images.shape.size());
  check(labels.shape.size() == 1 && labels.shape[0] == images.shape[0], "fashion-mnist",
        "{} has shape ({}), expected one label for each of the {} images", labels_path, fmt::join(labels.shape, ", "),
        images.shape[0]);
  MemoryDataset::Content content{.name = train ? "Fashion-MNIST train" : "Fashion-MNIST test",
                                 .channels = 1,
                                 .height = static_cast<int>(images.shape[1]),
                                 .width = static_cast<int>(images.shape[2]),
                                 .pixels = std::move(images.values),
                                 .labels = {labels.values.begin(), labels.values.end()},
                                 .class_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal",
                                                 "Shirt", "Sneaker", "Bag", "Ankle boot"}};
  for (std::size_t i = 0; i < content.labels.size(); ++i) {
    check(content.labels[i] < 10, "fashion-mnist", "{}, offset {}: label {}, expected 0 to 9", labels_path, 8 + i,
          content.labels[i]);
  }
  return std::make_shared<MemoryDataset>(std::move(content));
}

}  // namespace data
