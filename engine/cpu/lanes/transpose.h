// Rows and columns of a square of values exchanged. Included only by sources that are compiled once per instruction
// set.
#pragma once
#include "engine/cpu/lanes/vec.h"

namespace engine::cpu::lanes::RIDE_ISA {

template <int... columns>
struct Columns {};
#if RIDE_VECTOR_WIDTH == 16
using AllColumns = Columns<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15>;
#elif RIDE_VECTOR_WIDTH == 8
using AllColumns = Columns<0, 1, 2, 3, 4, 5, 6, 7>;
#else
using AllColumns = Columns<0, 1, 2, 3>;
#endif

// One round of a transposition: what lies `distance` right of the diagonal in row a changes places with what lies as
// far below it, in row b. After the rounds with distance 1, 2, 4 ... width / 2 all rows and columns have changed
// places.
template <int distance, int... j>
RIDE_INLINE void exchange(V& a, V& b, Columns<j...>) {
  const V first = __builtin_shuffle(a, b, I{(j & distance ? width + j - distance : j)...});
  b = __builtin_shuffle(a, b, I{(j & distance ? width + j : j + distance)...});
  a = first;
}

template <int distance>
RIDE_INLINE void round(V (&rows)[width]) {
  RIDE_UNROLL
  for (int i = 0; i < width; ++i)
    if (!(i & distance)) exchange<distance>(rows[i], rows[i + distance], AllColumns{});
}

RIDE_INLINE void transpose(V (&rows)[width]) {
  round<1>(rows);
  round<2>(rows);
#if RIDE_VECTOR_WIDTH >= 8
  round<4>(rows);
#endif
#if RIDE_VECTOR_WIDTH >= 16
  round<8>(rows);
#endif
}

}  // namespace engine::cpu::lanes::RIDE_ISA
