// Many-, medium- and few-shot classes, by the number of training images (paper section 4.1).
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ride/variant.h"

namespace ride {

enum class Split { many, medium, few };
inline constexpr std::array<Split, 3> all_splits = {Split::many, Split::medium, Split::few};
std::string_view name(Split split);

// many: n > 100.   few: n < 20 in the authors' code (`reference`), n <= 20 in the `paper`.   medium: the rest.
// CIFAR100-LT at imbalance 100 has 35/35/30 classes by the first rule, 35/34/31 by the second (one class has 20
// images).
Split split_of(int64_t training_images, Variant variant = Variant::reference);

// The classes of one split, ascending.
std::vector<int64_t> classes_in(Split split, const std::vector<int64_t>& counts, Variant variant = Variant::reference);

}  // namespace ride
