#include "engine/cpu/lanes/layout.h"

#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/cpu/dense.h"
#include "engine/cpu/lanes/layout_kernels.h"

namespace engine::cpu::lanes {
namespace {

// The elements of an image in its own memory, where each has its lanes, and the pieces that threads take.
struct Run {
  int64_t images, groups, elements, pieces;
  LanePlaces places;

  Run(const Shape& shape, MemoryFormat format)
      : images(shape[0]),
        groups(groups_of(shape)[0]),
        elements(shape[1] * shape[2] * shape[3]),
        pieces((elements + piece - 1) / piece),
        places(format == MemoryFormat::channels_last
                   ? LanePlaces{shape[1], shape[2] * shape[3] * images_per_group, images_per_group}
                   : LanePlaces{1, 0, images_per_group}) {}

  // f(first image, images in the group, where the group starts, first element, end)
  template <class F>
  void each(F&& f) const {
    parallel_for(groups * pieces, 4, [&](int64_t i, int64_t end) {
      for (; i < end; ++i) {
        const int64_t group = i / pieces, first = i % pieces * piece, image = group * images_per_group;
        f(image, static_cast<int>(std::min(images - image, images_per_group)), image * elements, first,
          std::min(elements, first + piece));
      }
    });
  }

 private:
  static constexpr int64_t piece = 2048;
};

template <class T>
void to_lanes(const LayoutFunctions<T>& kernels, const Run& run, const std::byte* from, std::byte* to) {
  const T* x = reinterpret_cast<const T*>(from);
  T* y = reinterpret_cast<T*>(to);
  run.each([&](int64_t image, int count, int64_t group, int64_t first, int64_t end) {
    kernels.to_lanes(x + image * run.elements, run.elements, count, first, end, run.places, y + group);
  });
}

template <class T>
void from_lanes(const LayoutFunctions<T>& kernels, const Run& run, const std::byte* from, std::byte* to) {
  const T* x = reinterpret_cast<const T*>(from);
  T* y = reinterpret_cast<T*>(to);
  run.each([&](int64_t image, int count, int64_t group, int64_t first, int64_t end) {
    kernels.from_lanes(x + group, run.places, first, end, y + image * run.elements, run.elements, count);
  });
}

// Types that no network computes in (masks, f64): element by element.
template <class T>
void to_lanes_plain(const T* x, int64_t stride, int count, int64_t first, int64_t end, LanePlaces at, T* y) {
  for (int64_t i = first; i < end; ++i)
    for (int lane = 0; lane < images_per_group; ++lane)
      y[i % at.inner * at.inner_step + i / at.inner * at.outer_step + lane] =
          lane < count ? x[lane * stride + i] : T(0);
}
template <class T>
void from_lanes_plain(const T* x, LanePlaces at, int64_t first, int64_t end, T* y, int64_t stride, int count) {
  for (int64_t i = first; i < end; ++i)
    for (int lane = 0; lane < count; ++lane)
      y[lane * stride + i] = x[i % at.inner * at.inner_step + i / at.inner * at.outer_step + lane];
}
template <class T>
void select_plain(const T* x, const LaneSources& sources, int64_t first, int64_t end, T* y) {
  std::fill(y + first * images_per_group, y + end * images_per_group, T(0));
  for (int s = 0; s < sources.count; ++s)
    for (int k = 0; k < images_per_group; ++k)
      for (int64_t i = first; sources.lane[s][k] >= 0 && i < end; ++i)
        y[i * images_per_group + k] = x[sources.group[s] + i * images_per_group + sources.lane[s][k]];
}
template <class T>
constexpr LayoutFunctions<T> plain{to_lanes_plain<T>, from_lanes_plain<T>, select_plain<T>};

// f(functions for elements of this size)
template <class F>
void with_functions(DType dtype, F&& f) {
  switch (size_of(dtype)) {
    case 1: return f(plain<uint8_t>);
    case 2: return f(layout_kernels().bits16);
    case 4: return f(layout_kernels().f32);
    default: return f(plain<uint64_t>);
  }
}

// Where the images index[0], ..., index[count - 1] of a tensor have their lanes; `group` elements make a group of it.
LaneSources sources_of(const int64_t* index, int64_t count, int64_t group) {
  LaneSources sources;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t begin = index[k] / images_per_group * group;
    int s = 0;
    while (s < sources.count && sources.group[s] != begin) ++s;
    if (s == sources.count) {
      sources.group[sources.count++] = begin;
      std::fill_n(sources.lane[s], images_per_group, -1);
    }
    sources.lane[s][k] = static_cast<int32_t>(index[k] % images_per_group);
  }
  return sources;
}

}  // namespace

void copy(const Tensor& x, const Tensor& y) {
  if (any_in_lanes(x) && any_in_lanes(y)) return cpu::copy(x.groups(), y.groups());
  if (x.dtype() != y.dtype()) return copy(as_type(x, y.dtype()), y);
  if (y.numel() == 0) return;
  profile::add_work(0, 2.0 * static_cast<double>(y.numel() * size_of(y.dtype())));
  if (any_in_lanes(y)) {
    const Tensor source = dense(x);
    const Run run(y.shape(), source.format());
    with_functions(y.dtype(), [&](const auto& kernels) { to_lanes(kernels, run, source.raw(), y.raw()); });
    return;
  }
  const Tensor target = y.is_dense(y.format()) ? y : Tensor::empty(y.shape(), {.dtype = y.dtype()});
  const Run run(x.shape(), target.format());
  with_functions(x.dtype(), [&](const auto& kernels) { from_lanes(kernels, run, x.raw(), target.raw()); });
  if (!target.shares_storage(y)) cpu::copy(target, y);
}

void select_images(const Tensor& x, const std::vector<int64_t>& index, const Tensor& y) {
  for (const int64_t image : index)
    check(image >= 0 && image < x.size(0), "gather", "index {} is out of range for an axis of size {}", image,
          x.size(0));
  profile::add_work(0, 2.0 * static_cast<double>(y.numel() * size_of(y.dtype())));
  const Run run(y.shape(), y.format());
  with_functions(x.dtype(), [&]<class T>(const LayoutFunctions<T>& kernels) {
    run.each([&](int64_t image, int count, int64_t group, int64_t first, int64_t end) {
      const LaneSources sources = sources_of(index.data() + image, count, run.elements * images_per_group);
      kernels.select(reinterpret_cast<const T*>(x.raw()), sources, first, end, reinterpret_cast<T*>(y.raw()) + group);
    });
  });
}

void clear_padding(const Tensor& y) {
  const int64_t images = y.size(0) % images_per_group;
  if (images == 0) return;
  const Shape groups = groups_of(y.shape());
  const std::size_t size = size_of(y.dtype());
  const int64_t pixels = groups[1] * groups[2] * groups[3];
  std::byte* last = y.raw() + static_cast<std::size_t>((groups[0] - 1) * pixels * images_per_group) * size;
  for (int64_t i = 0; i < pixels; ++i)
    std::fill_n(last + static_cast<std::size_t>(i * images_per_group + images) * size,
                static_cast<std::size_t>(images_per_group - images) * size, std::byte{0});
}

}  // namespace engine::cpu::lanes
