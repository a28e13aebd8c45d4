#include "engine/core/parallel.h"

#include <omp.h>

#include "engine/core/error.h"

namespace engine {

int num_threads() { return omp_in_parallel() ? 1 : omp_get_max_threads(); }

void set_num_threads(int threads) {
  check(threads >= 1, "parallel", "needs at least one thread, got {}", threads);
  omp_set_num_threads(threads);
}

}  // namespace engine
