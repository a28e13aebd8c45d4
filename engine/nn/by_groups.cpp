#include "engine/nn/by_groups.h"

#include <cstring>
#include <mutex>

#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/nn/forward_observer.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/index.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

// The calling thread's modes, for the threads that work for it.
struct Modes {
  InferenceMode& inference;
  DType precision = autocast_dtype();

  template <class F>
  void in_force(F&& f) const {
    const InferenceMode::Join join(inference);
    const Autocast autocast(precision);
    f();
  }
};

// Null where gradients may be wanted, somebody looks at single layers, or x is on a device that has its own threads.
InferenceMode* undisturbed_inference(const Tensor& x) {
  const bool apart = x.device().type == DeviceType::cpu && !profile::enabled() && !ForwardObserver::active();
  return apart ? InferenceMode::current() : nullptr;
}

// The images that f is asked about: all of x, or `rows` of it.
struct Images {
  Tensor x, rows;  // rows undefined: all

  int64_t count() const { return rows.defined() ? rows.numel() : x.size(0); }
  // [first, end), first a multiple of sixteen in batch_lanes and end one too or the number of images.
  Tensor range(int64_t first, int64_t end) const {
    if (rows.defined()) return index_select(x, 0, slice(rows, {.axis = 0, .start = first, .end = end}));
    if (x.format() == MemoryFormat::batch_lanes)
      return x.group_range(first / images_per_group, (end + images_per_group - 1) / images_per_group);
    return x.as_strided(x.shape().replaced(0, end - first), x.strides(), first * x.strides()[0]);
  }
};

// Who takes which images of a batch: [0, shared_out) go to single threads, equally many to each, and [shared_out,
// together) to all threads at once. The rest, at most half a group of batch_lanes, goes through channels_last.
struct Cut {
  int64_t unit;     // images that cannot be taken apart
  int64_t at_once;  // images that a thread takes at once; in channels_last several share the weights read for them
  int64_t shared_out, together;
  bool pays;

  Cut(const Tensor& x, int64_t images) {
    const bool lanes = x.format() == MemoryFormat::batch_lanes;
    unit = lanes ? images_per_group : 1;
    at_once = lanes ? images_per_group : 4;
    const int64_t left_over = images % unit, threads = num_threads();
    together = left_over <= unit / 2 ? images - left_over : images;
    shared_out = std::min((together + unit - 1) / unit / threads * threads * unit, together);
    // One thread gains from groups that stay in its caches; images of channels_last gain it nothing.
    const bool possible = images > 0 && x.rank() == 4 && (lanes || x.format() == MemoryFormat::channels_last);
    pays = possible && (lanes || (shared_out > 0 && threads > 1));
  }
};

// `part` is the result for the images from `first` on; y, for all images, is dense in the same format.
void put(const Tensor& part, int64_t first, const Tensor& y) {
  check(part.is_dense(y.format()) && part.dtype() == y.dtype(), "by_groups", "parts of one result are {} and {}",
        y.str(), part.str());
  const int64_t image = y.numel() / y.size(0) * static_cast<int64_t>(size_of(y.dtype()));
  const int64_t bytes = stored_elements(part.shape(), y.format()) * static_cast<int64_t>(size_of(y.dtype()));
  std::memcpy(y.raw() + first * image, part.raw(), static_cast<std::size_t>(bytes));
}

}  // namespace

Tensor by_groups(const Tensor& x, const std::function<Tensor(const Tensor&)>& f, const Tensor& rows) {
  const Images images{x, rows};
  InferenceMode* inference = undisturbed_inference(x);
  const int64_t count = images.count();
  const Cut cut(x, count);
  if (!inference || !cut.pays) return f(rows.defined() ? images.range(0, count) : x);

  const Modes modes{*inference};
  Tensor y;
  std::mutex first;  // to finish makes y
  const auto collect = [&](const Tensor& part, int64_t begin) {
    if (part.size(0) == count) {
      y = part;
      return;
    }
    {
      const std::lock_guard lock(first);
      if (!y.defined()) y = Tensor::empty(part.shape().replaced(0, count), part.options());
    }
    put(part, begin, y);
  };
  parallel_for((cut.shared_out + cut.unit - 1) / cut.unit, 1, [&](int64_t unit, int64_t end_unit) {
    modes.in_force([&] {
      const int64_t end = std::min(end_unit * cut.unit, cut.shared_out);
      for (int64_t begin = unit * cut.unit; begin < end; begin += cut.at_once)
        collect(f(images.range(begin, std::min(begin + cut.at_once, end))), begin);
    });
  });
  if (cut.shared_out < cut.together) collect(f(images.range(cut.shared_out, cut.together)), cut.shared_out);
  if (cut.together < count) {
    const Tensor part = by_groups(contiguous(images.range(cut.together, count), MemoryFormat::channels_last), f);
    const MemoryFormat format = y.defined() ? y.format() : x.format();
    collect(part.rank() == 4 ? contiguous(part, format) : part, cut.together);
  }
  return y;
}

void for_branches(int64_t n, const Tensor& x, const std::function<void(int64_t)>& f) {
  const int64_t threads = num_threads();
  InferenceMode* inference = undisturbed_inference(x);
  const bool few = inference && threads > 1 && x.format() == MemoryFormat::channels_last && !Cut(x, x.size(0)).pays;
  const int64_t at_once = few ? n / threads * threads : 0;
  if (at_once > 0) {
    const Modes modes{*inference};
    parallel_for(at_once, 1, [&](int64_t i, int64_t end) {
      modes.in_force([&] {
        for (; i < end; ++i) f(i);
      });
    });
  }
  for (int64_t i = at_once; i < n; ++i) f(i);
}

}  // namespace engine
