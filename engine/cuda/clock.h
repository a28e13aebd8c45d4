// The time that a device's work takes.
#pragma once
#include <memory>

#include "engine/core/profile.h"

namespace engine::cuda {

// By events in the stream of the device's ops.
std::shared_ptr<profile::Clock> event_clock(int device);

}  // namespace engine::cuda
