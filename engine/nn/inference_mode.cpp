#include "engine/nn/inference_mode.h"

namespace engine {
namespace {

thread_local InferenceMode* innermost = nullptr;

}  // namespace

InferenceMode::InferenceMode() : outer_(innermost) { innermost = this; }
InferenceMode::~InferenceMode() { innermost = outer_; }
InferenceMode::Join::Join(InferenceMode& mode) : outer_(innermost) { innermost = &mode; }
InferenceMode::Join::~Join() { innermost = outer_; }
InferenceMode* InferenceMode::current() { return innermost; }

}  // namespace engine
