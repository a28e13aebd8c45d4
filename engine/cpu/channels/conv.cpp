#include "engine/cpu/channels/conv.h"

#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/cpu/channels/conv_kernels.h"
#include "engine/cpu/dense.h"

namespace engine::cpu::channels {
namespace {

// Weights are read from memory once for each call: with few images there is little work to hide that behind.
constexpr int64_t most_weights = int64_t{1} << 18;  // floats
// The transforms cost as much for three channels as their products save.
constexpr int64_t fewest_channels = 8;

bool by_winograd(const Shape& w, const Conv2dOptions& o) {
  return w[2] == 3 && w[3] == 3 && o.stride == Pair(1) && o.padding == Pair(1) &&
         std::min(w[0], w[1]) >= fewest_channels;
}

Geometry geometry_of(const Shape& x, const Shape& w, const Shape& y, const Conv2dOptions& o) {
  return {.height = x[2],
          .width = x[3],
          .channels = x[1],
          .rows = y[2],
          .columns = y[3],
          .filters = y[1],
          .kernel_rows = w[2],
          .kernel_columns = w[3],
          .stride_rows = o.stride.h,
          .stride_columns = o.stride.w,
          .padding_rows = o.padding.h,
          .padding_columns = o.padding.w};
}

// Keys of the copies that ConstantWeights keeps.
constexpr int64_t direct_weights = -3, winograd_weights = -4;

Tensor arranged(const ConvKernels& kernels, const Geometry& g, bool winograd, ConstantWeights& w) {
  return w.arranged({winograd ? winograd_weights : direct_weights}, [&] {
    const Tensor copy = Tensor::empty({kernels.arranged(g)});
    kernels.arrange(w.values().data<float>(), g, copy.data<float>());
    return copy;
  });
}

// Units of work: some pieces of y by some blocks of its filters. Where the pieces alone would leave a thread few of
// them, to share the weights that it reads, the threads take different filters.
struct Plan {
  int64_t pieces, blocks, piece_parts, block_parts;

  Plan(int64_t pieces, int64_t blocks, int64_t few) : pieces(pieces), blocks(blocks) {
    const int64_t threads = num_threads();
    block_parts = pieces < few * threads ? std::min(blocks, threads) : 1;
    piece_parts = std::min(pieces, (threads + block_parts - 1) / block_parts);
  }
  int64_t units() const { return piece_parts * block_parts; }
  Range pieces_of(int64_t unit) const {
    const int64_t i = unit / block_parts;
    return {pieces * i / piece_parts, pieces * (i + 1) / piece_parts};
  }
  Range blocks_of(int64_t unit) const {
    const int64_t i = unit % block_parts;
    return {blocks * i / block_parts, blocks * (i + 1) / block_parts};
  }
};

template <class T>
void run(const ConvKernels& kernels, void (*forward)(const Geometry&, const Work<T>&), const Geometry& g,
         const Plan& plan, const Work<T>& whole) {
  const int64_t most_pieces = (plan.pieces + plan.piece_parts - 1) / plan.piece_parts;
  parallel_for(plan.units(), 1, [&](int64_t unit, int64_t end) {
    const Tensor scratch = Tensor::empty({kernels.scratch(g, most_pieces)});
    for (; unit < end; ++unit) {
      Work<T> work = whole;
      work.pieces = plan.pieces_of(unit);
      work.blocks = plan.blocks_of(unit);
      work.scratch = scratch.data<float>();
      forward(g, work);
    }
  });
}

void count_work(const Geometry& g, const Tensor& x, const Tensor& w, const Tensor& y) {
  if (!profile::enabled()) return;
  const int64_t bytes = (x.numel() + y.numel()) * static_cast<int64_t>(size_of(x.dtype())) + w.numel() * 4;
  profile::add_work(2.0 * static_cast<double>(y.numel() * g.kernel_rows * g.kernel_columns * g.channels),
                    static_cast<double>(bytes));
}

}  // namespace

bool conv_covers(const Tensor& x, const Shape& w, const Conv2dOptions& o) {
  return x.format() == MemoryFormat::channels_last && (x.dtype() == DType::f32 || x.dtype() == DType::bf16) &&
         x.numel() > 0 && o.groups == 1 && o.dilation == Pair(1) && w[2] * w[3] > 1 &&
         w.numel() * (by_winograd(w, o) ? 4 : 1) <= most_weights;
}

Tensor conv_forward_fused(const Tensor& x, ConstantWeights& w, const ConvEpilogue& epilogue, const Shape& y_shape,
                          const Conv2dOptions& options) {
  const bool winograd = by_winograd(w.values().shape(), options);
  const ConvKernels& kernels = winograd ? winograd_kernels() : direct_kernels();
  const Geometry g = geometry_of(x.shape(), w.values().shape(), y_shape, options);
  const Tensor y = Tensor::empty(y_shape, {.dtype = x.dtype(), .format = MemoryFormat::channels_last});
  if (y.numel() == 0) return y;
  const Tensor weights = arranged(kernels, g, winograd, w);
  const Tensor bias = dense(epilogue.bias), residual = dense(epilogue.residual, MemoryFormat::channels_last);
  const Plan plan(kernels.pieces(g) * x.size(0), kernels.blocks(g), 4);
  const auto forward = [&]<class T>(void (*kernel)(const Geometry&, const Work<T>&)) {
    run<T>(kernels, kernel, g, plan,
           {.x = reinterpret_cast<const T*>(x.raw()),
            .weights = weights.data<float>(),
            .bias = bias.data<float>(),
            .residual = residual.defined() ? reinterpret_cast<const T*>(residual.raw()) : nullptr,
            .relu = epilogue.relu,
            .y = reinterpret_cast<T*>(y.raw()),
            .blocks = {},
            .pieces = {},
            .scratch = nullptr});
  };
  if (x.dtype() == DType::f32)
    forward(kernels.f32);
  else
    forward(kernels.bf16);
  count_work(g, x, w.values(), y);
  return y;
}

}  // namespace engine::cpu::channels
