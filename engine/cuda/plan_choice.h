// The choice among several ways to compute the same.
#pragma once
#include <functional>

namespace engine::cuda {

// The plan of 0, 1, ... `plans` - 1 that takes least time. One for which `milliseconds` throws Error, because its
// workspace doesn't fit or the library refuses to run it after all, is left out; where all are, the first's Error goes
// on to the caller.
int fastest_plan(int plans, const std::function<float(int plan)>& milliseconds);

}  // namespace engine::cuda
