// Vendor libraries opened when a device is, so that a program with this back end also starts where they are not
// installed.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/core/error.h"

namespace engine::cuda {

struct LibraryName {
  const char* name;     // "cuDNN"
  const char* file;     // "libcudnn.so": the version follows
  int version;          // the one this program was written for, as in libcudnn.so.9
  const char* install;  // what to do where it is missing
};

// Opens the library: by the loader's own search, then in `folders`. Throws Error with what the loader said, and names
// another version of the library where there is one.
void* open_library(const LibraryName& library, const std::vector<std::string>& folders);

// Calls all of `opens` and throws one Error with what those say that throw.
void open_all(const std::vector<std::function<void()>>& opens);

// Where the build found the libraries: the toolkit's folder and cuDNN's.
std::vector<std::string> library_folders();

// A function of an open library. Throws Error where it has none of that name.
void* find_symbol(const LibraryName& library, void* handle, const char* symbol);
template <class Function>
void find_function(const LibraryName& library, void* handle, const char* symbol, Function*& function) {
  function = reinterpret_cast<Function*>(find_symbol(library, handle, symbol));
}

}  // namespace engine::cuda
