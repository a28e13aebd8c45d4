// What this processor's arithmetic is worth, measured.
#pragma once

namespace engine::cpu {

// How many times as many operations a second this processor does on pairs of bf16 as on f32: about 2 on some, a half on
// others, to which the instruction is there for its sake. Only where has_bf16_pairs().
double bf16_gain();

}  // namespace engine::cpu
