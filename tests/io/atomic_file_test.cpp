#include "engine/io/atomic_file.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "engine/core/error.h"
#include "engine/io/safetensors.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace engine;

namespace {

// While it lives no file may grow beyond `bytes`: writes fail as they do on a full disk, with another reason.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, old_handler_);
  }

 private:
  rlimit old_{};
  void (*old_handler_)(int);
};

// While it lives the process has no right to write to others' folders, also when root runs the tests.
class WithoutRights {
 public:
  WithoutRights() : root_(::geteuid() == 0) {
    if (root_) REQUIRE(::seteuid(65534) == 0);
  }
  ~WithoutRights() {
    if (root_) CHECK(::seteuid(0) == 0);
  }

 private:
  bool root_;
};

}  // namespace

TEST_CASE("atomic file: new and replaced content, nothing left beside it") {
  const TemporaryFolder folder;
  const std::string path = folder / "run.json";
  write_text_atomically(path, "first, the longer one");
  CHECK(read_text(path) == "first, the longer one");
  write_text_atomically(path, "second");
  CHECK(read_text(path) == "second");
  write_text_atomically(path, "");
  CHECK(read_text(path).empty());
  CHECK(folder.count() == 1);
}

TEST_CASE("atomic file: the old file stays until the new one is complete") {
  const TemporaryFolder folder;
  const std::string path = folder / "run.json";
  write_text_atomically(path, "old");
  const std::string error = error_of([&] {
    write_atomically(path, [&](AtomicFile& file) {
      file.write("half of");
      CHECK(read_text(path) == "old");
      throw std::runtime_error("stopped");
    });
  });
  CHECK(error == "stopped");
  CHECK(read_text(path) == "old");
  CHECK(folder.count() == 1);
}

TEST_CASE("atomic file: a disk that fills up leaves the previous checkpoint untouched") {
  const TemporaryFolder folder;
  const std::string path = folder / "last.safetensors";
  save_safetensors(path, {{"w", Tensor::full({4}, 1)}});
  const std::string before = read_text(path);
  std::string error;
  {
    const FileSizeLimit limit(1000);
    error = error_of([&] { save_safetensors(path, {{"w", Tensor::full({4000}, 2)}}); });
  }
  CHECK(contains(error, path + ": cannot write it: File too large"));
  CHECK(read_text(path) == before);
  CHECK(folder.count() == 1);
  save_safetensors(path, {{"w", Tensor::full({4000}, 2)}});
  CHECK(load_safetensors(path).tensors[0].second.numel() == 4000);
}

TEST_CASE("atomic file: folders that can't be written") {
  const TemporaryFolder folder;
  CHECK(contains(error_of([&] { write_text_atomically(folder / "none/run.json", "x"); }),
                 "none/run.json: cannot create"));
  std::filesystem::create_directory(folder.path / "taken");
  CHECK(contains(error_of([&] { write_text_atomically(folder / "taken", "x"); }), "taken: cannot rename"));
  std::filesystem::create_directory(folder.path / "closed");
  write_text_atomically(folder / "closed/file", "old");
  std::filesystem::permissions(folder.path / "closed", std::filesystem::perms(0555));
  std::string error;
  {
    const WithoutRights guard;
    error = error_of([&] { write_text_atomically(folder / "closed/file", "new"); });
  }
  CHECK(contains(error, "closed/file: cannot create a file beside it: Permission denied"));
  std::filesystem::permissions(folder.path / "closed", std::filesystem::perms(0755));
  CHECK(read_text(folder / "closed/file") == "old");
  CHECK(folder.count() == 2);
}

TEST_CASE("read_text: missing files and folders") {
  const TemporaryFolder folder;
  CHECK(contains(error_of([&] { read_text(folder / "none"); }), "none: No such file"));
  CHECK(contains(error_of([&] { read_text(folder.path.string()); }), "Is a directory"));
}
