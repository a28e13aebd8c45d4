#include "data/input_file.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "engine/core/error.h"

namespace data {
namespace fs = std::filesystem;
using engine::check;
using engine::fail;

// zlib reads a file that has no gzip header as it stands, so plain and compressed files take one path.
InputFile::InputFile(std::string path) : path_(std::move(path)) {
  std::error_code error;
  check(!fs::is_directory(path_, error), "data", "{} is a folder, expected a file", path_);
  errno = 0;
  file_ = gzopen(path_.c_str(), "rb");
  check(file_ != nullptr, "data", "can't open {}: {}", path_, errno ? std::strerror(errno) : "out of memory");
  gzbuffer(file_, 1 << 18);
  const auto size = fs::file_size(path_, error);
  size_on_disk_ = error ? 0 : static_cast<int64_t>(size);
}

InputFile::~InputFile() { gzclose(file_); }

std::size_t InputFile::read_some(void* target, std::size_t bytes) {
  std::size_t done = 0;
  while (done < bytes) {
    const unsigned step = static_cast<unsigned>(std::min<std::size_t>(bytes - done, 1u << 30));
    const int got = gzread(file_, static_cast<uint8_t*>(target) + done, step);
    if (got <= 0) break;
    done += got;
    offset_ += got;
  }
  int code = Z_OK;
  const char* text = gzerror(file_, &code);
  // Z_BUF_ERROR is a compressed file that ends early: the caller gets what there was and says what is missing.
  check(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, "data", "{}, offset {}: {}", path_, offset_,
        code == Z_ERRNO ? std::strerror(errno) : text);
  return done;
}

void InputFile::read(void* target, std::size_t bytes, const char* what) {
  const std::size_t got = read_some(target, bytes);
  check(got == bytes, "data", "{} is truncated: ends at offset {}, expected {} more bytes of {}", path_, offset_,
        bytes - got, what);
}

void InputFile::expect_end(const char* what) {
  uint8_t byte = 0;
  const int64_t end = offset_;
  check(read_some(&byte, 1) == 0, "data", "{}, offset {}: expected the end of the file after {}", path_, end, what);
}

void InputFile::check_can_hold(int64_t bytes, const char* what) {
  // Deflate makes data at most 1032 times smaller.
  const int64_t limit = gzdirect(file_) ? size_on_disk_ : size_on_disk_ * 1032;
  check(bytes >= 0 && bytes <= limit - std::min(limit, offset_), "data",
        "{}, offset {}: expected {} bytes of {}, but the file on disk has only {} bytes in all", path_, offset_, bytes,
        what, size_on_disk_);
}

std::vector<uint8_t> read_whole_file(const std::string& path, int64_t limit) {
  InputFile file(path);
  check(file.size_on_disk() <= limit, "data", "{} has {} bytes, expected at most {}", path, file.size_on_disk(), limit);
  std::vector<uint8_t> content(file.size_on_disk());
  file.check_can_hold(file.size_on_disk(), "content");
  content.resize(file.read_some(content.data(), content.size()));
  // Files that grow when unpacked: go on in steps, up to the limit.
  while (content.size() > 0) {
    const std::size_t before = content.size();
    content.resize(before + (1 << 20));
    content.resize(before + file.read_some(content.data() + before, 1 << 20));
    if (content.size() == before) break;
    check(static_cast<int64_t>(content.size()) <= limit, "data", "{} unpacks to more than {} bytes", path, limit);
  }
  return content;
}

std::vector<std::string> read_lines(const std::string& path) {
  const std::vector<uint8_t> content = read_whole_file(path, int64_t{1} << 30);
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < content.size();) {
    const auto end = std::find(content.begin() + begin, content.end(), '\n');
    std::string line(content.begin() + begin, end);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(std::move(line));
    begin = end - content.begin() + 1;
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

std::string find_file(const std::string& folder, const std::vector<std::string>& subfolders,
                      const std::vector<std::string>& names) {
  std::vector<fs::path> folders = {fs::path(folder)};
  for (const std::string& subfolder : subfolders) folders.push_back(fs::path(folder) / subfolder);
  std::error_code error;
  for (const fs::path& place : folders) {
    for (const std::string& name : names) {
      if (fs::is_regular_file(place / name, error)) return (place / name).string();
    }
  }
  return {};
}

}  // namespace data
