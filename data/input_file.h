// Reading data files, plain or gzipped, with errors that say which file, at which offset, and what was expected there.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

struct gzFile_s;

namespace data {

class InputFile {
 public:
  explicit InputFile(std::string path);  // throws when the file can't be opened
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Reads exactly `bytes`; throws when the file ends before, naming `what`.
  void read(void* target, std::size_t bytes, const char* what);
  // Reads up to `bytes` and returns how many there were.
  std::size_t read_some(void* target, std::size_t bytes);
  // Throws when there is more to read, naming `what` should have been the end.
  void expect_end(const char* what);
  int64_t offset() const { return offset_; }  // of the next byte, after decompression
  int64_t size_on_disk() const { return size_on_disk_; }
  // Throws unless the rest of the file can hold `bytes`: keeps a corrupt size from asking for all memory.
  void check_can_hold(int64_t bytes, const char* what);
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  gzFile_s* file_ = nullptr;
  int64_t offset_ = 0, size_on_disk_ = 0;
};

// The whole file. Throws when it is larger than `limit` bytes.
std::vector<uint8_t> read_whole_file(const std::string& path, int64_t limit);

// The lines of a text file, without line ends; empty ones at the end of the file are left out.
std::vector<std::string> read_lines(const std::string& path);

// The path of the first of `names` that exists in `folder`, or in one of its `subfolders`; empty when none does.
std::string find_file(const std::string& folder, const std::vector<std::string>& subfolders,
                      const std::vector<std::string>& names);

}  // namespace data
