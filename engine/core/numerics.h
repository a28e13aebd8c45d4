// How exactly, and by what choice of algorithms, devices with libraries of their own compute: for the whole program,
// set before its first op. The CPU's kernels always compute f32 in f32 and give the same bits for the same work.
#pragma once

namespace engine {

// Where f32 factors may be rounded to TF32 (f32's range, 10 bits of fraction; sums stay f32): several times faster on
// tensor cores. PyTorch's defaults.
struct Tf32 {
  bool convolutions = true;
  bool products = false;  // matmul, linear
  bool operator==(const Tf32&) const = default;
};

struct Numerics {
  Tf32 tf32 = {};
  bool deterministic = false;
  bool autotune = false;
};
const Numerics& numerics();

void set_tf32(Tf32 where);
inline void allow_tf32(bool everywhere) { set_tf32({everywhere, everywhere}); }  // false: strict f32

// Only algorithms that give the same bits in every run. Autotuning, whose choice may differ from run to run, is off
// then.
void deterministic(bool on);

// Each convolution is timed once with several algorithms, and the fastest is kept; otherwise the library's own guess.
void autotune(bool on);

}  // namespace engine
