#include "ride/metrics/splits.h"

namespace ride {

std::string_view name(Split split) {
  switch (split) {
    case Split::many: return "many";
    case Split::medium: return "medium";
    case Split::few: return "few";
  }
  return "unknown";
}

Split split_of(int64_t training_images, Variant variant) {
  if (training_images > 100) return Split::many;
  const int64_t fewest_of_medium = variant == Variant::reference ? 20 : 21;
  return training_images >= fewest_of_medium ? Split::medium : Split::few;
}

std::vector<int64_t> classes_in(Split split, const std::vector<int64_t>& counts, Variant variant) {
  std::vector<int64_t> classes;
  for (std::size_t c = 0; c < counts.size(); ++c)
    if (split_of(counts[c], variant) == split) classes.push_back(static_cast<int64_t>(c));
  return classes;
}

}  // namespace ride
