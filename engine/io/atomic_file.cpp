#include "engine/io/atomic_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "engine/core/error.h"

namespace engine {
namespace {

// Makes the rename itself survive a power cut. Returns false with errno set; file systems that can't sync a folder say
// EINVAL, which is no failure.
bool sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const int result = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  return result == 0 || reason == EINVAL;
}

}  // namespace

AtomicFile::AtomicFile(std::string path)
    : path_(std::move(path)), temporary_(fmt::format("{}.{}.tmp", path_, ::getpid())) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail_with_errno("create a file beside it");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(temporary_.c_str());
}

void AtomicFile::write(const void* bytes, std::size_t count) {
  const char* next = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(descriptor_, next, count);
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_with_errno("write it");
    }
    next += written;
    count -= static_cast<std::size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_with_errno("sync it to the disk");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_with_errno("rename the finished file to it");
  const int descriptor = std::exchange(descriptor_, -1);  // from here on the destructor has nothing to undo
  if (::close(descriptor) != 0) fail_with_errno("close it");
  if (!sync_folder_of(path_)) fail_with_errno("sync its folder");
}

void AtomicFile::fail_with_errno(const char* step) const {
  fail("write", "{}: cannot {}: {}", path_, step, std::strerror(errno));
}

void write_atomically(const std::string& path, const std::function<void(AtomicFile&)>& fill) {
  AtomicFile file(path);
  fill(file);
  file.commit();
}

void write_text_atomically(const std::string& path, std::string_view text) {
  write_atomically(path, [&](AtomicFile& file) { file.write(text); });
}

std::string read_text(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  check(descriptor >= 0, "read", "{}: {}", path, std::strerror(errno));
  std::string text;
  char block[65536];
  ssize_t count;
  while ((count = ::read(descriptor, block, sizeof block)) > 0 || (count < 0 && errno == EINTR))
    if (count > 0) text.append(block, static_cast<std::size_t>(count));
  const int reason = errno;
  ::close(descriptor);
  check(count == 0, "read", "{}: {}", path, std::strerror(reason));
  return text;
}

}  // namespace engine
