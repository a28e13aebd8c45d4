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
  const int64_t groups = groups_of(x.shape())[0], threads = num_threads();
  const int64_t shared_out = groups / threads * threads;  // the rest is for all threads together
  if (shared_out == 0 || groups == 1) return f(x);

  const DType precision = autocast_dtype();
  Tensor y;
  std::mutex first;  // to finish makes y
  const auto run = [&](int64_t begin, int64_t end) {
    const Tensor part = f(x.group_range(begin, end));
    {
      const std::lock_guard lock(first);
      if (!y.defined()) y = Tensor::empty(part.shape().replaced(0, x.size(0)), part.options());
    }
    put(part, begin, y);
  };
  parallel_for(shared_out, 1, [&](int64_t group, int64_t end) {
    const InferenceMode::Join join(*inference);
    const Autocast autocast(precision);
    for (; group < end; ++group) run(group, group + 1);
  });
  if (shared_out < groups) run(shared_out, groups);
  return y;
}

}  // namespace engine
