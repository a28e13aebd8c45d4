#include "apps/common/program.h"

#include <fmt/format.h>

#include <exception>

#include "ride/recipe.h"

namespace apps {

int run_program(const std::function<int()>& body) {
  try {
    return body();
  } catch (const ride::RecipeError& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
}

}  // namespace apps
