#include <algorithm>
#include <istream>

#include "engine/cuda/versions.h"

namespace engine::cuda {

// "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build ...": numbers with dots between
// are its version alone.
std::string driver_version(std::istream& text) {
  const auto is_version = [](const std::string& word) {
    return word.find('.') != std::string::npos && word.front() != '.' && word.back() != '.' &&
           std::all_of(word.begin(), word.end(), [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
  };
  for (std::string word; text >> word;)
    if (is_version(word)) return word;
  return {};
}

}  // namespace engine::cuda
