#include "engine/cpu/lanes/select.h"

#include <array>

#include "engine/core/parallel.h"
#include "engine/core/profile.h"

namespace engine::cpu::lanes {
namespace {

// Elements [first, end) of the images of one group, for values of T's size. `from` is where each image begins in x.
template <class T>
void select_group(const T* x, const std::array<int64_t, images_per_group>& from, int count, int64_t first, int64_t end,
                  T* y) {
  for (int64_t i = first; i < end; ++i)
    for (int lane = 0; lane < images_per_group; ++lane)
      y[i * images_per_group + lane] = lane < count ? x[from[lane] + i * images_per_group] : T(0);
}

template <class T>
void select_as(const Tensor& x, const std::vector<int64_t>& index, const Tensor& y) {
  constexpr int64_t piece = 2048;  // elements of a group that a thread takes at once
  const int64_t images = y.size(0), elements = y.size(1) * y.size(2) * y.size(3);
  const int64_t groups = groups_of(y.shape())[0], pieces = (elements + piece - 1) / piece;
  const T* source = reinterpret_cast<const T*>(x.raw());
  T* target = reinterpret_cast<T*>(y.raw());
  parallel_for(groups * pieces, 4, [&](int64_t task, int64_t end_task) {
    for (; task < end_task; ++task) {
      const int64_t group = task / pieces, first = task % pieces * piece;
      const int64_t count = std::min(images - group * images_per_group, images_per_group);
      std::array<int64_t, images_per_group> from{};
      for (int64_t lane = 0; lane < count; ++lane) {
        const int64_t image = index[static_cast<std::size_t>(group * images_per_group + lane)];
        from[lane] = image / images_per_group * elements * images_per_group + image % images_per_group;
      }
      select_group(source, from, static_cast<int>(count), first, std::min(elements, first + piece),
                   target + group * elements * images_per_group);
    }
  });
}

}  // namespace

void select_images(const Tensor& x, const std::vector<int64_t>& index, const Tensor& y) {
  for (const int64_t image : index)
    check(image >= 0 && image < x.size(0), "gather", "index {} is out of range for an axis of size {}", image,
          x.size(0));
  profile::add_work(0, 2.0 * static_cast<double>(y.numel() * static_cast<int64_t>(size_of(y.dtype()))));
  switch (size_of(x.dtype())) {
    case 1: return select_as<uint8_t>(x, index, y);
    case 2: return select_as<uint16_t>(x, index, y);
    case 4: return select_as<uint32_t>(x, index, y);
    default: return select_as<uint64_t>(x, index, y);
  }
}

}  // namespace engine::cpu::lanes
