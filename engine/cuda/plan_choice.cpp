#include "engine/cuda/plan_choice.h"

#include <exception>

#include "engine/core/error.h"

namespace engine::cuda {

int fastest_plan(int plans, const std::function<float(int plan)>& milliseconds) {
  int best = -1;
  float least = 0;
  std::exception_ptr first_error;
  for (int plan = 0; plan < plans; ++plan) {
    try {
      const float time = milliseconds(plan);
      if (best >= 0 && time >= least) continue;
      least = time;
      best = plan;
    } catch (const Error&) {
      if (!first_error) first_error = std::current_exception();
    }
  }
  if (best < 0 && first_error) std::rethrow_exception(first_error);
  check(best >= 0, "fastest plan", "there is none to choose from");
  return best;
}

}  // namespace engine::cuda
