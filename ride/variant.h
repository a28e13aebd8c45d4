// Where the paper and its authors' published code differ, both are built and named.
#pragma once
#include <string_view>

namespace ride {

enum class Variant {
  reference,  // as the authors' code computes it: the published numbers come from it; the default everywhere
  paper,      // as the equations of the paper say
};

inline std::string_view name(Variant variant) { return variant == Variant::reference ? "reference" : "paper"; }

}  // namespace ride
