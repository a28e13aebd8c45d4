// Sets of image files: "path label" lists and folder trees. Images are decoded when they are asked for.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/transforms.h"

namespace data {

// Reads a list with one "path label" per line (empty lines are skipped), paths relative to `root`. The label is what
// follows the last space. `classes` 0 takes the largest label + 1. Throws with file and line for a line of another form
// and for a label out of range. Classes are named by their numbers.
std::shared_ptr<const Dataset> load_list(const std::string& root, const std::string& list, int64_t classes = 0);

// Every subfolder of `root` is a class, in sorted order; its PNG, JPEG and BMP files, in sorted order and at any depth,
// are its images. With `class_names` the classes are those (a test set has its training set's); a subfolder that is
// none of them is an error, as is a tree without images.
std::shared_ptr<const Dataset> load_image_folder(const std::string& root, std::vector<std::string> class_names = {});

// Shows every image of a set resized and centre-cropped to one size, so that images of any size can form batches.
class Resized : public Dataset {
 public:
  Resized(std::shared_ptr<const Dataset> inner, ImageSize size) : inner_(std::move(inner)), size_(size) {}

  int64_t size() const override { return inner_->size(); }
  int64_t num_classes() const override { return inner_->num_classes(); }
  int64_t label(int64_t i) const override { return inner_->label(i); }
  Image image(int64_t i) const override;
  const std::vector<std::string>& class_names() const override { return inner_->class_names(); }
  std::string name() const override { return inner_->name(); }

 private:
  std::shared_ptr<const Dataset> inner_;
  ImageSize size_;
};

}  // namespace data
