#include "engine/core/numerics.h"

namespace engine {
namespace {

Numerics current;

}  // namespace

const Numerics& numerics() { return current; }

void set_tf32(Tf32 where) { current.tf32 = where; }

void deterministic(bool on) { current.deterministic = on; }

void autotune(bool on) { current.autotune = on; }

}  // namespace engine
