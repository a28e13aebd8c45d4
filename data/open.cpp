#include "data/open.h"

#include <algorithm>
#include <filesystem>

#include "data/cifar.h"
#include "data/folder.h"
#include "data/idx.h"
#include "data/image_file.h"
#include "data/input_file.h"
#include "data/transforms.h"
#include "engine/core/error.h"

namespace data {
namespace fs = std::filesystem;
using engine::check;

namespace {

// How the small grey images of Fashion-MNIST become what a network for CIFAR takes.
constexpr ImageSize fashion_mnist_size{.height = 28, .width = 28};
constexpr PaddedSize fashion_mnist_padded{.channels = 3, .height = 32, .width = 32};

Split open_fashion_mnist(const std::string& dir) {
  return {std::make_shared<PadAndReplicate>(load_fashion_mnist(dir, true), fashion_mnist_padded),
          std::make_shared<PadAndReplicate>(load_fashion_mnist(dir, false), fashion_mnist_padded)};
}

bool is_folder(const fs::path& path) {
  std::error_code error;  // no permission counts as not there
  return fs::is_directory(path, error);
}

Split open_folder(const std::string& dir) {
  const fs::path root(dir);
  const fs::path test = is_folder(root / "test") ? root / "test" : root / "val";
  check(is_folder(root / "train") && is_folder(test), "data",
        "no image folders in {}: looked for the folders train and test (or val), with a subfolder per class", dir);
  auto train = load_image_folder((root / "train").string());
  return {train, load_image_folder(test.string(), train->class_names())};
}

Split open_list(const std::string& dir) {
  const std::string train = find_file(dir, {}, {"train.txt"}), test = find_file(dir, {}, {"test.txt", "val.txt"});
  check(!train.empty() && !test.empty(), "data",
        "no lists in {}: looked for train.txt and test.txt (or val.txt), with 'path label' lines", dir);
  auto training = load_list(dir, train);
  return {training, load_list(dir, test, training->num_classes())};
}

}  // namespace

const std::vector<std::string>& dataset_names() {
  static const std::vector<std::string> names = {"cifar100", "cifar10", "fashion-mnist", "folder", "list"};
  return names;
}

std::string default_folder(const std::string& dataset) {
  return dataset == "fashion-mnist" ? default_fashion_mnist_dir : "";
}

Image load_as_test_image(const std::string& dataset, const std::string& path, int size) {
  const ImageSize full{.height = size, .width = size};
  const Image image = load_image(path);
  if (dataset != "fashion-mnist" || (image.height == size && image.width == size)) return resized(image, full);
  return resized(pad_and_replicate(resized(image, fashion_mnist_size), fashion_mnist_padded), full);
}

Split open(const std::string& dataset, const std::string& dir) {
  const auto& names = dataset_names();
  check(std::find(names.begin(), names.end(), dataset) != names.end(), "data", "no data set '{}', expected one of {}",
        dataset, fmt::join(names, ", "));
  const std::string folder = dir.empty() ? default_folder(dataset) : dir;
  check(!folder.empty(), "data", "{} needs the folder its files are in (--data DIR)", dataset);
  check(dir.empty() || is_folder(dir), "data", "the data folder {} does not exist or can't be read", dir);
  if (dataset == "cifar100") return {load_cifar100(folder, true), load_cifar100(folder, false)};
  if (dataset == "cifar10") return {load_cifar10(folder, true), load_cifar10(folder, false)};
  if (dataset == "fashion-mnist") return open_fashion_mnist(folder);
  return dataset == "folder" ? open_folder(folder) : open_list(folder);
}

}  // namespace data
