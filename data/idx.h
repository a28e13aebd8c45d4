// IDX files (LeCun's MNIST format), plain or gzipped, and Fashion-MNIST (Xiao et al., 2017) in them.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace data {

// Where Debian's package dataset-fashion-mnist puts it.
inline constexpr const char* default_fashion_mnist_dir = "/usr/share/datasets/fashion-mnist";

struct IdxArray {
  std::vector<int64_t> shape;
  std::vector<uint8_t> values;  // row-major
};

// Reads an IDX file of unsigned bytes. Throws with file, offset and what was expected when it is another kind of file,
// truncated or too long.
IdxArray read_idx(const std::string& path);

// The 28x28 images with their one channel; pad_and_replicate makes (3, 32, 32) of them. Files: train-images-idx3-ubyte,
// t10k-labels-idx1-ubyte and so on, with or without .gz, in `dir`.
std::shared_ptr<const Dataset> load_fashion_mnist(const std::string& dir, bool train);

}  // namespace data
