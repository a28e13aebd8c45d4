#include "data/cifar.h"

#include <filesystem>

#include "data/input_file.h"
#include "data/pickle.h"
#include "engine/core/error.h"

namespace data {
namespace fs = std::filesystem;
using engine::check;

namespace {

constexpr int64_t image_bytes = 3 * 32 * 32;

// Where the parts of one set are and how a record of its binary version begins.
struct Layout {
  std::string name;
  int64_t classes;
  int label_bytes, label_at;  // bytes before the pixels; which of them is the label
  std::string binary_folder, python_folder;
  std::vector<std::string> binary_files, python_files;
  std::string names_file;                                // of the binary version: one class a line
  std::string python_names_file, names_key, labels_key;  // of the python version
};

Layout cifar100_layout(bool train) {
  return {.name = train ? "CIFAR-100 train" : "CIFAR-100 test",
          .classes = 100,
          .label_bytes = 2,  // coarse, fine
          .label_at = 1,
          .binary_folder = "cifar-100-binary",
          .python_folder = "cifar-100-python",
          .binary_files = {train ? "train.bin" : "test.bin"},
          .python_files = {train ? "train" : "test"},
          .names_file = "fine_label_names.txt",
          .python_names_file = "meta",
          .names_key = "fine_label_names",
          .labels_key = "fine_labels"};
}

Layout cifar10_layout(bool train) {
  Layout layout{.name = train ? "CIFAR-10 train" : "CIFAR-10 test",
                .classes = 10,
                .label_bytes = 1,
                .label_at = 0,
                .binary_folder = "cifar-10-batches-bin",
                .python_folder = "cifar-10-batches-py",
                .binary_files = {"test_batch.bin"},
                .python_files = {"test_batch"},
                .names_file = "batches.meta.txt",
                .python_names_file = "batches.meta",
                .names_key = "label_names",
                .labels_key = "labels"};
  if (train) {
    layout.binary_files.clear();
    layout.python_files.clear();
    for (int part = 1; part <= 5; ++part) {
      layout.binary_files.push_back(fmt::format("data_batch_{}.bin", part));
      layout.python_files.push_back(fmt::format("data_batch_{}", part));
    }
  }
  return layout;
}

void append_binary(const std::string& path, const Layout& layout, MemoryDataset::Content& content) {
  InputFile file(path);
  const int64_t record_bytes = layout.label_bytes + image_bytes;
  content.pixels.reserve(content.pixels.size() + file.size_on_disk() / record_bytes * image_bytes);
  std::vector<uint8_t> record(record_bytes);
  while (true) {
    const int64_t start = file.offset();
    const std::size_t got = file.read_some(record.data(), record.size());
    if (got == 0) break;
    check(got == record.size(), "cifar",
          "{} is truncated: the record at offset {} has {} bytes, expected {} ({} of labels, 3072 of pixels)", path,
          start, got, record_bytes, layout.label_bytes);
    const int64_t label = record[layout.label_at];
    check(label < layout.classes, "cifar", "{}, offset {}: label {}, expected 0 to {}", path, start + layout.label_at,
          label, layout.classes - 1);
    content.labels.push_back(label);
    content.pixels.insert(content.pixels.end(), record.begin() + layout.label_bytes, record.end());
  }
}

void append_python(const std::string& path, const Layout& layout, MemoryDataset::Content& content) {
  const Pickle pickle(path);
  const Pickle::ByteArray pixels = pickle.byte_array("data");
  const std::vector<int64_t> labels = pickle.integers(layout.labels_key);
  check(pixels.shape == std::vector<int64_t>{static_cast<int64_t>(labels.size()), image_bytes}, "cifar",
        "{}: 'data' has shape ({}), expected ({}, {}) as there are {} labels", path, fmt::join(pixels.shape, ", "),
        labels.size(), image_bytes, labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    check(labels[i] >= 0 && labels[i] < layout.classes, "cifar", "{}: label {} of '{}' is {}, expected 0 to {}", path,
          i, layout.labels_key, labels[i], layout.classes - 1);
  }
  content.labels.insert(content.labels.end(), labels.begin(), labels.end());
  content.pixels.insert(content.pixels.end(), pixels.bytes.begin(), pixels.bytes.end());
}

// The files may come without their list of names; then the classes are numbered.
std::vector<std::string> class_names(const fs::path& folder, const Layout& layout, bool binary) {
  const fs::path path = folder / (binary ? layout.names_file : layout.python_names_file);
  std::error_code error;
  if (!fs::exists(path, error)) return numbered_names(layout.classes);
  const std::vector<std::string> names =
      binary ? read_lines(path.string()) : Pickle(path.string()).strings(layout.names_key);
  check(static_cast<int64_t>(names.size()) == layout.classes, "cifar", "{} has {} names, expected {}", path.string(),
        names.size(), layout.classes);
  return names;
}

std::shared_ptr<const Dataset> load(const std::string& dir, const Layout& layout) {
  std::string first = find_file(dir, {layout.binary_folder}, {layout.binary_files[0]});
  const bool binary = !first.empty();
  if (!binary) first = find_file(dir, {layout.python_folder}, {layout.python_files[0]});
  check(!first.empty(), "cifar",
        "no {} in {}: looked for {} and {} there, in {}/ and in {}/. Unpack the binary or the python archive into it",
        layout.name, dir.empty() ? "''" : dir, layout.binary_files[0], layout.python_files[0], layout.binary_folder,
        layout.python_folder);
  const fs::path folder = fs::path(first).parent_path();
  MemoryDataset::Content content{.name = layout.name,
                                 .channels = 3,
                                 .height = 32,
                                 .width = 32,
                                 .pixels = {},
                                 .labels = {},
                                 .class_names = class_names(folder, layout, binary)};
  for (const std::string& file : binary ? layout.binary_files : layout.python_files) {
    const std::string path = (folder / file).string();
    binary ? append_binary(path, layout, content) : append_python(path, layout, content);
  }
  check(!content.labels.empty(), "cifar", "{} is empty", first);
  return std::make_shared<MemoryDataset>(std::move(content));
}

}  // namespace

std::shared_ptr<const Dataset> load_cifar100(const std::string& dir, bool train) {
  return load(dir, cifar100_layout(train));
}

std::shared_ptr<const Dataset> load_cifar10(const std::string& dir, bool train) {
  return load(dir, cifar10_layout(train));
}

}  // namespace data
