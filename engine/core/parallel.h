// Loops over the cores, on the same OpenMP threads that oneDNN uses.
#pragma once
#include <algorithm>
#include <cstdint>
#include <exception>

namespace engine {

int num_threads();                  // 1 inside a parallel_for
void set_num_threads(int threads);  // >= 1

// Calls f(begin, end) over disjoint pieces of [0, n), in parallel when n > grain. Pieces are the same for a given
// n and thread count. An exception thrown by f is rethrown on the calling thread.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  if (n <= 0) return;
  const int64_t pieces = std::min<int64_t>(num_threads(), (n + grain - 1) / std::max<int64_t>(grain, 1));
  if (pieces <= 1) return f(int64_t{0}, n);
  std::exception_ptr error;
#pragma omp parallel for num_threads(static_cast <int>(pieces)) schedule(static)
  for (int64_t piece = 0; piece < pieces; ++piece) {
    try {
      f(n * piece / pieces, n * (piece + 1) / pieces);
    } catch (...) {
#pragma omp critical(engine_parallel_error)
      error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace engine
