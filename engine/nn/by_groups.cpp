#include "engine/nn/by_groups.h"

#include <cstring>
#include <mutex>

#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/nn/forward_observer.h"
#include "engine/nn/inference_mode.h"

namespace engine {
namespace {

// Threads take equal shares of the groups, but for one: that must not weigh.
bool keeps_threads_busy(int64_t groups) {
  const int64_t threads = num_threads();
  return groups >= 4 * threads || groups % threads == 0;
}

// Images [16 group, ...) of a result for all images, dense in the result's format, are made of `part`.
void put(const Tensor& part, int64_t group, const Tensor& y) {
  check(part.is_dense(part.format()) && part.format() == y.format() && part.dtype() == y.dtype(), "by_groups",
        "parts of one result are {} and {}", y.str(), part.str());
  const int64_t image = y.numel() / y.size(0) * static_cast<int64_t>(size_of(y.dtype()));
  const int64_t bytes = stored_elements(part.shape(), part.format()) * static_cast<int64_t>(size_of(y.dtype()));
  std::memcpy(y.raw() + group * images_per_group * image, part.raw(), static_cast<std::size_t>(bytes));
}

}  // namespace

Tensor by_groups(const Tensor& x, const std::function<Tensor(const Tensor&)>& f) {
  InferenceMode* inference = InferenceMode::current();
  if (!inference || x.format() != MemoryFormat::batch_lanes) return f(x);
  if (profile::enabled() || ForwardObserver::active()) return f(x);
  const int64_t groups = groups_of(x.shape())[0];
  if (groups < 2 || !keeps_threads_busy(groups)) return f(x);

  const DType precision = autocast_dtype();
  Tensor y;
  std::mutex first;  // to finish makes y
  parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
    const InferenceMode::Join join(*inference);
    const Autocast autocast(precision);
    for (int64_t group = begin; group < end; ++group) {
      const Tensor part = f(x.group(group));
      {
        const std::lock_guard lock(first);
        if (!y.defined()) {
          Shape shape = part.shape();
          shape[0] = x.size(0);
          y = Tensor::empty(shape, part.options());
        }
      }
      put(part, group, y);
    }
  });
  return y;
}

}  // namespace engine
