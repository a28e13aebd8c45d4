// Files that are either the old one or the whole new one, whatever happens while they are written.
#pragma once
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace engine {

// The temporary file a new version is written to: in the same folder as `path`, synced and renamed over it by commit().
// Every failure (folder not writable, disk full) throws Error with the path and the system's reason; without a commit
// the destructor removes the temporary file and `path` stays as it was.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* bytes, std::size_t count);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  [[noreturn]] void fail_with_errno(const char* step) const;

  std::string path_, temporary_;
  int descriptor_ = -1;
};

// Calls fill(file) and commits; what `fill` throws leaves the old file in place.
void write_atomically(const std::string& path, const std::function<void(AtomicFile&)>& fill);
void write_text_atomically(const std::string& path, std::string_view text);

// The whole of a text file. Throws Error with the path and the system's reason.
std::string read_text(const std::string& path);

}  // namespace engine
