// The table of a recipe's keys, from which reading, checking and printing follow. Internal to the recipe files.
#pragma once
#include <array>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ride/recipe.h"

namespace ride {

// The numbers a key may have: least <= x <= most and above < x < below.
struct Range {
  static constexpr double infinity = std::numeric_limits<double>::infinity();
  double least = -infinity, above = -infinity, most = infinity, below = infinity;

  bool holds(double x) const;
  std::string str() const;  // " >= 1 and <= 8", empty where all numbers are allowed
};

struct Field {
  using Target = std::variant<bool*, int*, int64_t*, double*, std::string*, std::vector<int>*, std::array<double, 3>*>;

  std::string key;  // "loss.diversity"
  Target target;    // the value in the Recipe
  std::string help;
  Range range;                       // numbers
  std::vector<std::string> choices;  // strings; empty: any

  std::string section() const;  // "loss", empty for name and seed
  std::string last() const;     // "diversity"
  std::string allowed() const;  // "an integer >= 1", "one of ...", ...
};

// Every key of `recipe` in the order of printing; the targets point into it.
std::vector<Field> fields_of(Recipe& recipe);

// The full key of a short one, or the key itself.
std::string resolve_alias(const std::string& key);

// The member of `known` most like `key`: fewest letters to insert, delete or change, a wrong table counting as one.
std::string nearest(const std::string& key, const std::vector<std::string>& known);

}  // namespace ride
