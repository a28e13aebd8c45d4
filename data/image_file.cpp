#include "data/image_file.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#define STBI_MAX_DIMENSIONS 32768
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

#include "data/input_file.h"
#include "engine/core/error.h"

namespace data {

Image load_image(const std::string& path) {
  const std::vector<uint8_t> content = read_whole_file(path, int64_t{1} << 28);
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<uint8_t, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(content.data(), static_cast<int>(content.size()), &width, &height, &channels, 3),
      &stbi_image_free);
  engine::check(pixels != nullptr, "image", "can't decode {}: {}, expected PNG, JPEG or BMP", path,
                stbi_failure_reason());
  const NewImage result = new_image(3, height, width);
  const int64_t plane = int64_t{height} * width;
  for (int64_t i = 0; i < plane; ++i) {
    for (int c = 0; c < 3; ++c) result.pixels[c * plane + i] = pixels.get()[3 * i + c];
  }
  return result.image;
}

bool has_image_extension(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg" || extension == ".bmp";
}

}  // namespace data
