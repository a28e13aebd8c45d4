// Labelled images, read by index from any number of threads.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace data {

// Pixels of one image, planar (C, H, W), one byte each.
struct ImageView {
  const uint8_t* pixels = nullptr;
  int channels = 0, height = 0, width = 0;

  int64_t bytes() const { return int64_t{channels} * height * width; }
};

// A view together with what keeps its pixels alive: a block of its own, or nothing where the dataset itself holds them
// (the image is then valid as long as the dataset).
struct Image : ImageView {
  std::shared_ptr<const uint8_t[]> owner;
};

// An image with uninitialised pixels of its own, and where to write them.
struct NewImage {
  Image image;
  uint8_t* pixels = nullptr;
};
NewImage new_image(int channels, int height, int width);

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  virtual int64_t num_classes() const = 0;
  virtual int64_t label(int64_t i) const = 0;  // in [0, num_classes())
  virtual Image image(int64_t i) const = 0;    // throws when i is out of range or the file behind it can't be read
  virtual const std::vector<std::string>& class_names() const = 0;  // num_classes() of them
  virtual std::string name() const = 0;                             // for messages: "CIFAR-100 train"
};

// Images per class, num_classes() of them.
std::vector<int64_t> class_counts(const Dataset& dataset);
// The labels of all images, in order.
std::vector<int64_t> all_labels(const Dataset& dataset);
// "0", "1", ...: for sets whose classes have no names.
std::vector<std::string> numbered_names(int64_t classes);
// Throws unless 0 <= i < dataset.size().
void check_index(const Dataset& dataset, int64_t i);

// Some images of another set, in the order of `indices`. Throws when one of them is out of range.
class Subset : public Dataset {
 public:
  Subset(std::shared_ptr<const Dataset> whole, std::vector<int64_t> indices);

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  int64_t num_classes() const override { return whole_->num_classes(); }
  int64_t label(int64_t i) const override;
  Image image(int64_t i) const override;
  const std::vector<std::string>& class_names() const override { return whole_->class_names(); }
  std::string name() const override { return "subset of " + whole_->name(); }
  const std::vector<int64_t>& indices() const { return indices_; }

 private:
  std::shared_ptr<const Dataset> whole_;
  std::vector<int64_t> indices_;
};

// Images of one size, all in memory.
class MemoryDataset : public Dataset {
 public:
  struct Content {
    std::string name;
    int channels = 0, height = 0, width = 0;
    std::vector<uint8_t> pixels;  // (N, C, H, W)
    std::vector<int64_t> labels;  // (N)
    std::vector<std::string> class_names;
  };
  // Throws when the sizes don't fit or a label has no class.
  explicit MemoryDataset(Content content);

  int64_t size() const override { return static_cast<int64_t>(content_.labels.size()); }
  int64_t num_classes() const override { return static_cast<int64_t>(content_.class_names.size()); }
  int64_t label(int64_t i) const override;
  Image image(int64_t i) const override;
  const std::vector<std::string>& class_names() const override { return content_.class_names; }
  std::string name() const override { return content_.name; }

 private:
  Content content_;
};

// The image as (channels, height, width): zeros around it, half of the difference on each side; one channel is repeated
// to `channels`. Throws for a larger image.
struct PaddedSize {
  int channels = 3, height = 32, width = 32;
};
Image pad_and_replicate(const ImageView& image, PaddedSize size);

// Shows every image of a set so.
class PadAndReplicate : public Dataset {
 public:
  PadAndReplicate(std::shared_ptr<const Dataset> inner, PaddedSize size) : inner_(std::move(inner)), size_(size) {}

  int64_t size() const override { return inner_->size(); }
  int64_t num_classes() const override { return inner_->num_classes(); }
  int64_t label(int64_t i) const override { return inner_->label(i); }
  Image image(int64_t i) const override { return pad_and_replicate(inner_->image(i), size_); }
  const std::vector<std::string>& class_names() const override { return inner_->class_names(); }
  std::string name() const override { return inner_->name(); }

 private:
  std::shared_ptr<const Dataset> inner_;
  PaddedSize size_;
};

}  // namespace data
