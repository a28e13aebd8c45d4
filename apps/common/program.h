// What every program of apps/ does around its own work.
#pragma once
#include <functional>

namespace apps {

// Runs `body` and returns its exit code. An exception becomes "error: ..." on stderr and exit code 2 for a mistake in a
// recipe or an override, 1 for anything else.
int run_program(const std::function<int()>& body);

}  // namespace apps
