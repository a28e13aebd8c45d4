// The device of the programs that plan launches and run none: an H100's multiprocessors, more memory than there is.
#pragma once
#include <functional>

#include "engine/core/device.h"
#include "tests/emulator/planning.h"

namespace engine::test {

Device planned_device();

// Runs f and gives every launch of it to `see`.
void see_launches(const std::function<void()>& f, const std::function<void(const emulator::Launch&)>& see);

}  // namespace engine::test
