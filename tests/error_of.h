// What a call complains about.
#pragma once
#include <exception>
#include <string>

// What the call's exception says; empty where none came.
template <class F>
std::string error_of(F&& call) {
  try {
    call();
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}
inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }
