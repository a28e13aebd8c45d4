#include "data/dataset.h"

#include <algorithm>
#include <cstring>

#include "engine/core/error.h"

namespace data {

using engine::check;

NewImage new_image(int channels, int height, int width) {
  NewImage result;
  std::shared_ptr<uint8_t[]> block(new uint8_t[static_cast<std::size_t>(channels) * height * width]);
  result.pixels = block.get();
  result.image.pixels = block.get();
  result.image.channels = channels;
  result.image.height = height;
  result.image.width = width;
  result.image.owner = std::move(block);
  return result;
}

std::vector<int64_t> class_counts(const Dataset& dataset) {
  std::vector<int64_t> counts(dataset.num_classes());
  for (int64_t i = 0; i < dataset.size(); ++i) ++counts[dataset.label(i)];
  return counts;
}

std::vector<int64_t> all_labels(const Dataset& dataset) {
  std::vector<int64_t> labels(dataset.size());
  for (int64_t i = 0; i < dataset.size(); ++i) labels[i] = dataset.label(i);
  return labels;
}

std::vector<std::string> numbered_names(int64_t classes) {
  std::vector<std::string> names(classes);
  for (int64_t c = 0; c < classes; ++c) names[c] = std::to_string(c);
  return names;
}

void check_index(const Dataset& dataset, int64_t i) {
  check(i >= 0 && i < dataset.size(), "dataset", "index {} is out of range: {} has {} images", i, dataset.name(),
        dataset.size());
}

Subset::Subset(std::shared_ptr<const Dataset> whole, std::vector<int64_t> indices)
    : whole_(std::move(whole)), indices_(std::move(indices)) {
  for (int64_t i : indices_) check_index(*whole_, i);
}

int64_t Subset::label(int64_t i) const {
  check_index(*this, i);
  return whole_->label(indices_[i]);
}

Image Subset::image(int64_t i) const {
  check_index(*this, i);
  return whole_->image(indices_[i]);
}

MemoryDataset::MemoryDataset(Content content) : content_(std::move(content)) {
  const int64_t bytes = int64_t{content_.channels} * content_.height * content_.width;
  check(bytes > 0 && static_cast<int64_t>(content_.pixels.size()) == size() * bytes, "dataset",
        "{}: {} labels of ({}, {}, {}) images need {} bytes of pixels, got {}", content_.name, size(),
        content_.channels, content_.height, content_.width, size() * bytes, content_.pixels.size());
  for (int64_t i = 0; i < size(); ++i) {
    check(content_.labels[i] >= 0 && content_.labels[i] < num_classes(), "dataset",
          "{}: image {} has label {}, expected 0 to {}", content_.name, i, content_.labels[i], num_classes() - 1);
  }
}

int64_t MemoryDataset::label(int64_t i) const {
  check_index(*this, i);
  return content_.labels[i];
}

Image MemoryDataset::image(int64_t i) const {
  check_index(*this, i);
  ImageView view{nullptr, content_.channels, content_.height, content_.width};
  view.pixels = content_.pixels.data() + i * view.bytes();
  return {view, nullptr};
}

Image pad_and_replicate(const ImageView& image, PaddedSize size) {
  check(image.height <= size.height && image.width <= size.width &&
            (image.channels == 1 || image.channels == size.channels),
        "pad_and_replicate", "an image of ({}, {}, {}) does not fit into ({}, {}, {})", image.channels, image.height,
        image.width, size.channels, size.height, size.width);
  const NewImage result = new_image(size.channels, size.height, size.width);
  std::memset(result.pixels, 0, result.image.bytes());
  const int top = (size.height - image.height) / 2, left = (size.width - image.width) / 2;
  for (int c = 0; c < size.channels; ++c) {
    const uint8_t* plane = image.pixels + int64_t{std::min(c, image.channels - 1)} * image.height * image.width;
    for (int y = 0; y < image.height; ++y) {
      uint8_t* row = result.pixels + (int64_t{c} * size.height + top + y) * size.width + left;
      std::memcpy(row, plane + int64_t{y} * image.width, image.width);
    }
  }
  return result.image;
}

}  // namespace data
