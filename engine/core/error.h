// Errors of the engine: an exception whose text names the op, the offending values and, where there is one, the next
// step.
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace engine {

// Thrown for every mistake a caller can make: shapes that don't fit, bad files, wrong dtypes, an exhausted memory
// limit.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Throws Error("[where] text"): `fail("conv2d", "weight expects {} input channels, input has {}", ...)`.
template <class... Args>
[[noreturn]] void fail(const char* where, fmt::format_string<Args...> text, Args&&... args) {
  throw Error(fmt::format("[{}] {}", where, fmt::format(text, std::forward<Args>(args)...)));
}

// Throws like `fail` unless `ok`.
template <class... Args>
void check(bool ok, const char* where, fmt::format_string<Args...> text, Args&&... args) {
  if (!ok) [[unlikely]]
    fail(where, text, std::forward<Args>(args)...);
}

}  // namespace engine
