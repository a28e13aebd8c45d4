// group[pixel][k] = images[k][pixel], k < 16: a transposition, a square of `width` images and pixels at a time in
// registers; and y[pixel][k] = x[group of k][pixel][lane of k], a choice of lanes.
// Compiled once per instruction set; see engine/cpu/isa.h for what it must not include.
#include "engine/cpu/lanes/layout_kernels.h"

#include "engine/cpu/lanes/transpose.h"

#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)

namespace engine::cpu {
namespace lanes::RIDE_ISA {
namespace {

// From and to an image's own memory, of any alignment. Bits of 16 go into the upper halves of floats.
RIDE_INLINE V load_image(const float* p) { return loadu(p); }
RIDE_INLINE void store_image(float* p, V v) { storeu(p, v); }
RIDE_INLINE V load_image(const uint16_t* p) {
  return reinterpret_cast<V>(__builtin_convertvector(*reinterpret_cast<const UnalignedH*>(p), U) << 16);
}
RIDE_INLINE void store_image(uint16_t* p, V v) {
  *reinterpret_cast<UnalignedH*>(p) = __builtin_convertvector(reinterpret_cast<U>(v) >> 16, UnalignedH);
}

// place(i) for rising i, without a division each.
struct Walk {
  LanePlaces places;
  int64_t k, place;
  Walk(LanePlaces p, int64_t first)
      : places(p), k(first % p.inner), place(k * p.inner_step + first / p.inner * p.outer_step) {}
  RIDE_INLINE int64_t next() {
    const int64_t here = place;
    place += places.inner_step;
    if (++k == places.inner) {
      k = 0;
      place += places.outer_step - places.inner * places.inner_step;
    }
    return here;
  }
};

template <class T>
void to_lanes(const T* images, int64_t image_stride, int count, int64_t first, int64_t end, LanePlaces places,
              T* group) {
  Walk walk(places, first);
  int64_t i = first;
  for (; i + width <= end; i += width) {
    int64_t at[width];
    for (int64_t& place : at) place = walk.next();
    for (int lane = 0; lane < lanes; lane += width) {
      V rows[width];
      RIDE_UNROLL
      for (int j = 0; j < width; ++j)
        rows[j] = lane + j < count ? load_image(images + (lane + j) * image_stride + i) : zero();
      transpose(rows);
      RIDE_UNROLL
      for (int j = 0; j < width; ++j) store(group + at[j] + lane, rows[j]);
    }
  }
  for (; i < end; ++i) {
    T* to = group + walk.next();
    for (int lane = 0; lane < lanes; ++lane) to[lane] = lane < count ? images[lane * image_stride + i] : T(0);
  }
}

template <class T>
void from_lanes(const T* group, LanePlaces places, int64_t first, int64_t end, T* images, int64_t image_stride,
                int count) {
  Walk walk(places, first);
  int64_t i = first;
  for (; i + width <= end; i += width) {
    int64_t at[width];
    for (int64_t& place : at) place = walk.next();
    for (int lane = 0; lane < count; lane += width) {
      V rows[width];
      RIDE_UNROLL
      for (int j = 0; j < width; ++j) rows[j] = load(group + at[j] + lane);
      transpose(rows);
      RIDE_UNROLL
      for (int j = 0; j < width; ++j)
        if (lane + j < count) store_image(images + (lane + j) * image_stride + i, rows[j]);
    }
  }
  for (; i < end; ++i) {
    const T* from = group + walk.next();
    for (int lane = 0; lane < count; ++lane) images[lane * image_stride + i] = from[lane];
  }
}

RIDE_INLINE U load_bits(const float* p) { return *reinterpret_cast<const U*>(p); }
RIDE_INLINE U load_bits(const uint16_t* p) { return widen(*reinterpret_cast<const H*>(p)); }
RIDE_INLINE void store_bits(float* p, U u) { *reinterpret_cast<U*>(p) = u; }
RIDE_INLINE void store_bits(uint16_t* p, U u) { *reinterpret_cast<H*>(p) = narrow(u); }

template <class T>
void select(const T* x, const LaneSources& sources, int64_t first, int64_t end, T* y) {
  for (int64_t i = first; i < end; ++i) {
    U out[parts] = {};
    for (int s = 0; s < sources.count; ++s) {
      const T* from = x + sources.group[s] + i * lanes;
      U group[parts];
      RIDE_UNROLL
      for (int k = 0; k < parts; ++k) group[k] = load_bits(from + k * width);
      RIDE_UNROLL
      for (int k = 0; k < parts; ++k) {
        const I lane = *reinterpret_cast<const UnalignedI*>(sources.lane[s] + k * width);
        out[k] = lane < 0 ? out[k] : choose(group, lane & (lanes - 1));
      }
    }
    RIDE_UNROLL
    for (int k = 0; k < parts; ++k) store_bits(y + i * lanes + k * width, out[k]);
  }
}

}  // namespace
}  // namespace lanes::RIDE_ISA

// 16-bit values pass through the upper halves of floats, as bfloat16 does; widening and rounding back change no bit of
// any of them.
const LayoutKernels RIDE_ISA::layout_kernels = {
    TEXT(RIDE_ISA),
    {lanes::RIDE_ISA::to_lanes<float>, lanes::RIDE_ISA::from_lanes<float>, lanes::RIDE_ISA::select<float>},
    {lanes::RIDE_ISA::to_lanes<uint16_t>, lanes::RIDE_ISA::from_lanes<uint16_t>, lanes::RIDE_ISA::select<uint16_t>}};

}  // namespace engine::cpu
