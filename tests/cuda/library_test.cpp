// What is said where a vendor library can't be used.
#include "engine/cuda/library.h"

#include <doctest/doctest.h>
#include <link.h>

#include "tests/error_of.h"

using namespace engine::cuda;

namespace {

constexpr LibraryName nowhere{
    .name = "Nothing", .file = "libride-nothing.so", .version = 9, .install = "install it with care"};
constexpr LibraryName libc{.name = "the C library", .file = "libc.so", .version = 7, .install = "install version 7"};

}  // namespace

TEST_CASE("a missing library: which, what the loader said, how to install it, the way out") {
  const std::string error = error_of([] { open_library(nowhere, {"/nowhere"}); });
  CHECK(contains(error, "[cuda] can't open Nothing"));
  CHECK(contains(error, "libride-nothing.so.9"));
  CHECK(contains(error, "cannot open shared object file"));
  CHECK(contains(error, "install it with care"));
  CHECK(contains(error, "--device cpu"));
}

TEST_CASE("all libraries that are missing are named at once") {
  int opened = 0;
  const std::string error = error_of([&] {
    open_all({[] { open_library(nowhere, {}); }, [&] { ++opened; }, [] { open_library(libc, {}); }});
  });
  CHECK(opened == 1);
  CHECK(contains(error, "[cuda] can't open Nothing"));
  CHECK(contains(error, "; this machine has the C library as libc.so.6"));
  open_all({[&] { ++opened; }});
  CHECK(opened == 2);
}

TEST_CASE("a library of another version is named") {
  const std::string error = error_of([] { open_library(libc, {}); });
  CHECK(contains(error, "this machine has the C library as libc.so.6, this program needs version 7"));
  CHECK(contains(error, "install version 7"));
}

TEST_CASE("a function that the library has not") {
  LibraryName found = libc;
  found.version = 6;
  void* handle = open_library(found, {});
  CHECK(find_symbol(found, handle, "malloc") != nullptr);
  CHECK(contains(error_of([&] { find_symbol(found, handle, "ride_no_such_function"); }),
                 "has no ride_no_such_function: it is too old. install version 7"));
}

TEST_CASE("the build's library folders are whole paths") {
  const auto folders = library_folders();
  CHECK(!folders.empty());
  for (const std::string& folder : folders) CHECK(folder.starts_with("/"));
}

// This program is linked as those of apps/ are.
TEST_CASE("no library of NVIDIA's is needed for a program to start") {
  const char* names = nullptr;
  for (const ElfW(Dyn)* entry = _DYNAMIC; entry->d_tag != DT_NULL; ++entry)
    if (entry->d_tag == DT_STRTAB) names = reinterpret_cast<const char*>(entry->d_un.d_ptr);
  REQUIRE(names != nullptr);
  int needed = 0;
  for (const ElfW(Dyn)* entry = _DYNAMIC; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag != DT_NEEDED) continue;
    const std::string name = names + entry->d_un.d_val;
    CAPTURE(name);
    for (const char* vendor : {"libcuda", "libcudart", "libcudnn", "libcublas", "libnvrtc"})
      CHECK(!name.starts_with(vendor));
    ++needed;
  }
  CHECK(needed > 0);
}
