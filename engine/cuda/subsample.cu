// Every stride-th pixel with channels of zeros around, and back.
#include "engine/cuda/dense.h"
#include "engine/cuda/pool.h"
#include "engine/cuda/pool_maps.h"
#include "engine/kernels/count_work.h"

namespace engine::cuda {
namespace {

// Widths and channels in vectors.
struct Chosen {
  int stride, before, channels;  // channels: of the large side
};

// y[n, before + c, p, q] = x[n, c, stride p, stride q], zero in the other channels
template <class T, int W>
__global__ void subsample_kernel(MapOrder order, Chosen chosen, MapStrides xs, MapStrides ys, Global<const T> x,
                                 Global<T> y) {
  for (int64_t i = grid_index(); i < order.count; i += grid_step()) {
    const auto [n, c, p, q] = order.at(i);
    const int own = c - chosen.before;
    Vec<T, W> out{};
    if (own >= 0 && own < chosen.channels)
      out = load<W>(x, xs(n, own, int64_t{p} * chosen.stride, int64_t{q} * chosen.stride));
    store<W>(y, ys(n, c, p, q), out);
  }
}

// dx[n, c, stride p, stride q] = dy[n, before + c, p, q], zero at the other pixels
template <class T, int W>
__global__ void subsample_backward_kernel(MapOrder order, Chosen chosen, MapStrides dys, MapStrides dxs,
                                          Global<const T> dy, Global<T> dx) {
  for (int64_t i = grid_index(); i < order.count; i += grid_step()) {
    const auto [n, c, h, w] = order.at(i);
    const int p = h / chosen.stride, q = w / chosen.stride;
    Vec<T, W> out{};
    if (p * chosen.stride == h && q * chosen.stride == w) out = load<W>(dy, dys(n, c + chosen.before, p, q));
    store<W>(dx, dxs(n, c, h, w), out);
  }
}

// dx[n, c, stride p, stride q] += dy[n, before + c, p, q], for the pixels of `order`
template <class T, int W>
__global__ void subsample_add_kernel(MapOrder order, Chosen chosen, MapStrides dys, MapStrides dxs, Global<const T> dy,
                                     Global<T> dx) {
  using S = Compute<T>;
  for (int64_t i = grid_index(); i < order.count; i += grid_step()) {
    const auto [n, c, p, q] = order.at(i);
    const int64_t at = dxs(n, c, int64_t{p} * chosen.stride, int64_t{q} * chosen.stride);
    const auto g = load<W>(dy, dys(n, c + chosen.before, p, q));
    Vec<T, W> sum = load<W>(dx, at);
#pragma unroll
    for (int k = 0; k < W; ++k) sum.at[k] = static_cast<T>(static_cast<S>(sum.at[k]) + static_cast<S>(g.at[k]));
    store<W>(dx, at, sum);
  }
}

Chosen chosen_of(const SubsampleOptions& options, int64_t channels, int width) {
  check(options.stride < int64_t{1} << 31, "subsample2d", "a stride of {} is too large: it must fit 31 bits",
        options.stride);
  return {static_cast<int>(options.stride), static_cast<int>(options.channels_before / width),
          static_cast<int>(channels / width)};
}

// As with_channel_vectors, where the added channels are whole vectors too.
template <class T, class F>
void with_whole_vectors(const SubsampleOptions& options, const Tensor& large, const Tensor& small, F&& f) {
  if (options.channels_before % vector_width<T>)
    f(std::integral_constant<int, 1>{});
  else
    with_channel_vectors<T>(f, large, small);
}

}  // namespace

void subsample(const Tensor& x, const SubsampleOptions& options, const Tensor& y) {
  if (y.numel() == 0) return;
  count_passed(y, y);
  Context& c = context(x.device().index);
  dispatch_all(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_whole_vectors<T>(options, x, y, [&](auto width) {
      constexpr int W = width;
      const MapOrder order = map_order(y, W);
      launch("subsample2d", c, cover_device(c, order.count), subsample_kernel<T, W>, order,
             chosen_of(options, x.size(1), W), map_strides(x, W), map_strides(y, W), pointer<const T>(x),
             pointer<T>(y));
    });
  });
}

void subsample_backward(const Tensor& dy_any, const SubsampleOptions& options, bool add, const Tensor& dx) {
  if (dx.numel() == 0) return;
  const char* op = "subsample2d backward";
  const Tensor dy = as_type(dy_any, dx.dtype());
  count_passed(dx, dy);
  Context& c = context(dx.device().index);
  // The pixels that were chosen, which are all that a sum has to touch.
  Strides steps = dx.strides();
  steps[2] *= options.stride;
  steps[3] *= options.stride;
  const Tensor pixels = dx.as_strided({dx.size(0), dx.size(1), dy.size(2), dy.size(3)}, steps);
  dispatch_floating(dx.dtype(), op, [&](auto tag) {
    using T = typename decltype(tag)::type;
    with_whole_vectors<T>(options, dx, dy, [&](auto width) {
      constexpr int W = width;
      const MapOrder order = map_order(add ? pixels : dx, W);
      const auto kernel = add ? subsample_add_kernel<T, W> : subsample_backward_kernel<T, W>;
      launch(op, c, cover_device(c, order.count), kernel, order, chosen_of(options, dx.size(1), W), map_strides(dy, W),
             map_strides(dx, W), pointer<const T>(dy), pointer<T>(dx));
    });
  });
}

}  // namespace engine::cuda
