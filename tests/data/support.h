// What the tests of data/ share: folders, small files, and a set of numbered images.
#pragma once
#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"
#include "engine/core/error.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

namespace test {

namespace fs = std::filesystem;

inline std::string golden(const std::string& name) { return RIDE_SOURCE_ROOT "/tests/data/files/" + name; }

// A file of the shared data, or "" (with a message: the test is to be skipped) where it is absent.
inline std::string shared_data(const std::string& name) {
  const char* root = std::getenv("RIDE_SHARED");
  const fs::path path = fs::path(root ? root : RIDE_SOURCE_ROOT "/../shared") / "data" / name;
  if (fs::exists(path)) return path.string();
  MESSAGE("skipped: no " << path.string());
  return {};
}

inline void write_file(const std::string& path, const std::string& content) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_gzip(const std::string& path, const std::string& content) {
  gzFile file = gzopen(path.c_str(), "wb");
  REQUIRE(gzwrite(file, content.data(), static_cast<unsigned>(content.size())) == static_cast<int>(content.size()));
  REQUIRE(gzclose(file) == Z_OK);
}

#define CHECK_ERROR(expression, ...)                                                        \
  do {                                                                                      \
    const std::string text = error_of([&] { (void)(expression); });                         \
    for (const std::string& part : std::initializer_list<std::string>{__VA_ARGS__}) {       \
      CHECK_MESSAGE(text.find(part) != std::string::npos, "'" << part << "' in: " << text); \
    }                                                                                       \
  } while (false)

// Images (3, height, width) with class counts[c] images of class c in label order; the pixels are a hash of their
// place.
inline std::shared_ptr<const data::Dataset> numbered_set(const std::vector<int64_t>& counts, int height = 8,
                                                         int width = 8) {
  data::MemoryDataset::Content content;
  content.name = "numbered";
  content.channels = 3;
  content.height = height;
  content.width = width;
  content.class_names = data::numbered_names(static_cast<int64_t>(counts.size()));
  for (std::size_t c = 0; c < counts.size(); ++c) content.labels.insert(content.labels.end(), counts[c], c);
  content.pixels.resize(content.labels.size() * 3 * height * width);
  for (std::size_t i = 0; i < content.pixels.size(); ++i)
    content.pixels[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  return std::make_shared<data::MemoryDataset>(std::move(content));
}

}  // namespace test
