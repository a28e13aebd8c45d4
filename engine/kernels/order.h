// How values are ordered, one source for every back end.
#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "engine/core/host_device.h"

namespace engine {

// a goes before b in falling order; NaN counts as the largest, as in PyTorch.
template <class C>
ENGINE_HD bool greater(C a, C b) {
  if constexpr (std::is_floating_point_v<C>)
    if (a != a || b != b) return a != a && b == b;
  return a > b;
}

// Unsigned numbers that are ordered as the values are (by `greater`, and equal where neither is), rising or falling.
// All NaN have one key, and so have the two zeros.
template <class C>
using SortKey = std::conditional_t<sizeof(C) == 8, uint64_t, uint32_t>;

template <class C>
ENGINE_HD SortKey<C> sort_key(C value, bool descending) {
  using Key = SortKey<C>;
  constexpr Key sign = Key(1) << (8 * sizeof(Key) - 1), all = static_cast<Key>(~Key(0));
  Key key;
  if constexpr (std::is_floating_point_v<C>) {
    const Key bits = std::bit_cast<Key>(value == C(0) ? C(0) : value);
    key = value != value ? all : bits & sign ? static_cast<Key>(~bits) : bits | sign;
  } else if constexpr (std::is_signed_v<C>) {
    key = static_cast<Key>(value) ^ sign;
  } else {
    key = static_cast<Key>(value);
  }
  return descending ? static_cast<Key>(~key) : key;
}

}  // namespace engine
