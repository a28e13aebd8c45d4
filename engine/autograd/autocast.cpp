#include "engine/autograd/autocast.h"

namespace engine {
namespace {
thread_local DType activations = DType::f32;
}

DType autocast_dtype() { return activations; }

Autocast::Autocast(DType dtype) : previous_(activations) {
  check(dtype == DType::bf16 || dtype == DType::f32, "Autocast",
        "activations can be bf16, or f32 for no casts, got {} (f16 would need a scaled loss)", name(dtype));
  activations = dtype;
}
Autocast::~Autocast() { activations = previous_; }

}  // namespace engine
