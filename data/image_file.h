// PNG, JPEG and BMP files.
#pragma once
#include <string>

#include "data/dataset.h"

namespace data {

// Decodes an image file to RGB (grey is repeated, transparency dropped). Throws with the path and the reason.
Image load_image(const std::string& path);

// True for names that end in .png, .jpg, .jpeg or .bmp, in either case.
bool has_image_extension(const std::string& path);

}  // namespace data
