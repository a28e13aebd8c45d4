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

// How x may be cut: into groups of batch_lanes, or images of channels_last.
struct Cut {
  bool lanes;
  int64_t pieces, images_of_piece, pieces_at_once;
  int64_t shared_out;  // pieces that the threads take alone, equally many; the rest is for all of them together

  explicit Cut(const Tensor& x) : lanes(x.format() == MemoryFormat::batch_lanes) {
    // More images at a time share the weights that are read for them, but not in the second-level cache.
    images_of_piece = lanes ? images_per_group : 1;
    pieces_at_once = lanes ? 1 : 4;
    pieces = x.rank() == 4 && (lanes || x.format() == MemoryFormat::channels_last)
                 ? (x.size(0) + images_of_piece - 1) / images_of_piece
                 : 1;
    shared_out = pieces / num_threads() * num_threads();
  }
  // One thread gains from groups that stay in its caches; images of channels_last gain it nothing.
  bool pays() const { return pieces > 1 && shared_out > 0 && (lanes || num_threads() > 1); }
};

Tensor images_of(const Tensor& x, const Cut& cut, int64_t begin, int64_t end) {
  if (cut.lanes) return x.group_range(begin, end);
  return x.as_strided(x.shape().replaced(0, end - begin), x.strides(), begin * x.strides()[0]);
}

// `part` is the result for the images from `first` on; y, for all images, is dense in the same format.
void put(const Tensor& part, int64_t first, const Tensor& y) {
  check(part.is_dense(y.format()) && part.dtype() == y.dtype(), "by_groups", "parts of one result are {} and {}",
        y.str(), part.str());
  const int64_t image = y.numel() / y.size(0) * static_cast<int64_t>(size_of(y.dtype()));
  const int64_t bytes = stored_elements(part.shape(), y.format()) * static_cast<int64_t>(size_of(y.dtype()));
  std::memcpy(y.raw() + first * image, part.raw(), static_cast<std::size_t>(bytes));
}

}  // namespace

Tensor by_groups(const Tensor& x, const std::function<Tensor(const Tensor&)>& f) {
  InferenceMode* inference = undisturbed_inference(x);
  const Cut cut(x);
  if (!inference || !cut.pays()) return f(x);

  const Modes modes{*inference};
  Tensor y;
  std::mutex first;  // to finish makes y
  const auto run = [&](int64_t begin, int64_t end) {
    const Tensor part = f(images_of(x, cut, begin, end));
    {
      const std::lock_guard lock(first);
      if (!y.defined()) y = Tensor::empty(part.shape().replaced(0, x.size(0)), part.options());
    }
    put(part, begin * cut.images_of_piece, y);
  };
  parallel_for(cut.shared_out, 1, [&](int64_t begin, int64_t end) {
    modes.in_force([&] {
      for (; begin < end; begin += cut.pieces_at_once) run(begin, std::min(begin + cut.pieces_at_once, end));
    });
  });
  if (cut.shared_out < cut.pieces) run(cut.shared_out, cut.pieces);
  return y;
}

void for_branches(int64_t n, const Tensor& x, const std::function<void(int64_t)>& f) {
  const int64_t threads = num_threads();
  InferenceMode* inference = undisturbed_inference(x);
  const bool few = inference && threads > 1 && x.format() == MemoryFormat::channels_last && !Cut(x).pays();
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
