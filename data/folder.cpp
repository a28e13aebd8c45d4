#include "data/folder.h"

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "data/image_file.h"
#include "data/input_file.h"
#include "engine/core/error.h"

namespace data {
namespace fs = std::filesystem;
using engine::check;

namespace {

class FileDataset : public Dataset {
 public:
  struct Entry {
    std::string path;
    int64_t label;
  };
  FileDataset(std::string name, std::vector<Entry> entries, std::vector<std::string> class_names)
      : name_(std::move(name)), entries_(std::move(entries)), class_names_(std::move(class_names)) {}

  int64_t size() const override { return static_cast<int64_t>(entries_.size()); }
  int64_t num_classes() const override { return static_cast<int64_t>(class_names_.size()); }
  int64_t label(int64_t i) const override {
    check_index(*this, i);
    return entries_[i].label;
  }
  Image image(int64_t i) const override {
    check_index(*this, i);
    return load_image(entries_[i].path);
  }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  std::string name() const override { return name_; }

 private:
  std::string name_;
  std::vector<Entry> entries_;
  std::vector<std::string> class_names_;
};

// What an iteration over a folder finds and `wanted` accepts, sorted. Throws with the path that can't be read.
template <class Iterator, class Wanted>
std::vector<std::string> sorted_paths(const fs::path& folder, Wanted wanted) {
  std::vector<std::string> paths;
  try {
    for (const fs::directory_entry& entry : Iterator(folder)) {
      if (wanted(entry)) paths.push_back(entry.path().string());
    }
  } catch (const fs::filesystem_error& error) {
    engine::fail("folder", "can't read {}: {}", folder.string(), error.code().message());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> subfolders(const fs::path& folder) {
  return sorted_paths<fs::directory_iterator>(folder, [](const auto& entry) { return entry.is_directory(); });
}

std::vector<std::string> image_files(const fs::path& folder) {
  return sorted_paths<fs::recursive_directory_iterator>(
      folder, [](const auto& entry) { return entry.is_regular_file() && has_image_extension(entry.path().string()); });
}

}  // namespace

std::shared_ptr<const Dataset> load_list(const std::string& root, const std::string& list, int64_t classes) {
  std::vector<FileDataset::Entry> entries;
  int64_t largest = -1, number = 0;
  for (const std::string& line : read_lines(list)) {
    ++number;
    if (line.empty()) continue;
    const std::size_t space = line.find_last_of(" \t");
    int64_t label = -1;
    const char* end = line.data() + line.size();
    const bool ok = space != std::string::npos && space > 0 &&
                    std::from_chars(line.data() + space + 1, end, label).ptr == end && space + 1 < line.size();
    check(ok, "list", "{}, line {}: '{}', expected 'path label'", list, number, line);
    check(label >= 0 && (classes == 0 || label < classes) && label < 1'000'000, "list",
          "{}, line {}: label {}, expected 0 to {}", list, number, label, (classes ? classes : 1'000'000) - 1);
    largest = std::max(largest, label);
    entries.push_back({(fs::path(root) / line.substr(0, space)).string(), label});
  }
  check(!entries.empty(), "list", "{} has no 'path label' line", list);
  return std::make_shared<FileDataset>(list, std::move(entries), numbered_names(classes ? classes : largest + 1));
}

std::shared_ptr<const Dataset> load_image_folder(const std::string& root, std::vector<std::string> class_names) {
  std::error_code error;
  check(fs::is_directory(root, error), "folder", "{} is no folder: expected one with a subfolder per class", root);
  const bool given = !class_names.empty();
  std::vector<FileDataset::Entry> entries;
  for (const std::string& folder : subfolders(root)) {
    const std::string name = fs::path(folder).filename().string();
    auto known = std::find(class_names.begin(), class_names.end(), name);
    check(!given || known != class_names.end(), "folder", "{} is none of the {} classes of the training set", folder,
          class_names.size());
    if (!given) known = class_names.insert(class_names.end(), name);
    const int64_t label = known - class_names.begin();
    for (std::string& path : image_files(folder)) entries.push_back({std::move(path), label});
  }
  check(!entries.empty(), "folder", "{} has no images: looked for .png, .jpg, .jpeg and .bmp files in its subfolders",
        root);
  return std::make_shared<FileDataset>(root, std::move(entries), std::move(class_names));
}

Image Resized::image(int64_t i) const { return resized(inner_->image(i), size_); }

}  // namespace data
