#include "engine/cuda/library.h"

#include <dlfcn.h>

#include <sstream>

namespace engine::cuda {
namespace {

std::string with_version(const LibraryName& library, int version) {
  return version > 0 ? fmt::format("{}.{}", library.file, version) : library.file;
}

// The name of another version of the library that can be opened; empty if there is none.
std::string another_version(const LibraryName& library) {
  for (const int version : {library.version - 1, library.version + 1, 0}) {
    const std::string file = with_version(library, version);
    if (void* handle = dlopen(file.c_str(), RTLD_LAZY | RTLD_LOCAL)) {
      dlclose(handle);
      return file;
    }
  }
  return {};
}

}  // namespace

void* open_library(const LibraryName& library, const std::vector<std::string>& folders) {
  const std::string file = with_version(library, library.version);
  if (void* handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
  // What the loader says of the first attempt: "cannot open shared object file", or what the library itself lacks.
  const char* said = dlerror();
  const std::string reason = said ? said : "unknown reason";
  for (const std::string& folder : folders)
    if (void* handle = dlopen((folder + "/" + file).c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
  const std::string other = another_version(library);
  if (!other.empty())
    fail("cuda", "this machine has {} as {}, this program needs version {} of it: {}, or use --device cpu",
         library.name, other, library.version, library.install);
  fail("cuda", "can't open {} ({}): {}, or use --device cpu", library.name, reason, library.install);
}

void open_all(const std::vector<std::function<void()>>& opens) {
  std::string missing;
  for (const auto& open : opens) {
    try {
      open();
    } catch (const Error& error) {
      const std::string text = error.what();
      missing += (missing.empty() ? "" : "; ") + text.substr(text.starts_with("[cuda] ") ? 7 : 0);
    }
  }
  check(missing.empty(), "cuda", "{}", missing);
}

std::vector<std::string> library_folders() {
  std::vector<std::string> folders;
  std::istringstream list(RIDE_CUDA_LIBRARY_FOLDERS);
  for (std::string folder; std::getline(list, folder, ':');)
    if (!folder.empty()) folders.push_back(folder);
  return folders;
}

void* find_symbol(const LibraryName& library, void* handle, const char* symbol) {
  void* address = dlsym(handle, symbol);
  check(address != nullptr, "cuda", "{} {} on this machine has no {}: it is too old. {}", library.name, library.version,
        symbol, library.install);
  return address;
}

}  // namespace engine::cuda
