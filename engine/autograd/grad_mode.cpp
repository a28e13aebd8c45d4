#include "engine/autograd/grad_mode.h"

namespace engine {
namespace {
thread_local bool recording = true;
}

bool grad_enabled() { return recording; }

GradMode::GradMode(bool on) : previous_(recording) { recording = on; }
GradMode::~GradMode() { recording = previous_; }

}  // namespace engine
