// What this program was built from.
#pragma once
#include <string>

namespace apps {

std::string version();       // "0.1.0"
std::string git_revision();  // 40 hex digits, or "unknown" outside a git checkout
std::string compiler();      // "gcc 12.2.0"

}  // namespace apps
