// The training and the test set of a data set, by name.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace data {

struct Split {
  std::shared_ptr<const Dataset> train, test;
};

// "cifar100", "cifar10": see cifar.h.
// "fashion-mnist": see idx.h, shown as (3, 32, 32); an empty `dir` is the folder of Debian's package.
// "folder": dir/train and dir/test (or dir/val), a subfolder per class; see load_image_folder.
// "list": dir/train.txt and dir/test.txt (or val.txt) with "path label" lines, paths relative to `dir`.
// The images of the last two come in their own sizes (see Resized). Throws for another name, listing these, and for
// missing files, naming them.
Split open(const std::string& dataset, const std::string& dir);

// The names `open` knows.
const std::vector<std::string>& dataset_names();

// Where `open` looks when it is not told a folder; empty for a set that has no such place.
std::string default_folder(const std::string& dataset);

// An image file as the set's test images are shown: (3, size, size). Those of Fashion-MNIST are 28x28 on black, so for
// "fashion-mnist" the image is brought to that first, unless it has the full size already. Throws where the file can't
// be read.
Image load_as_test_image(const std::string& dataset, const std::string& path, int size);

}  // namespace data
