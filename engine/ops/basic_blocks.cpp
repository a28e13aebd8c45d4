#include "engine/ops/basic_blocks.h"

#include <utility>

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/precision.h"
#include "engine/ops/shape_ops.h"

namespace engine {
namespace {

BatchNormOptions options_of(const ConvNorm& layer, const ChannelMoments& moments, const Tensor& residual) {
  return {.momentum = layer.momentum, .eps = layer.eps, .residual = residual, .relu = true, .moments = &moments};
}

// As ops of their own.
Tensor conv_norm(const Tensor& x, const ConvNorm& layer, const Tensor& residual) {
  ChannelMoments moments;
  const Tensor u = conv2d_with_moments(x, layer.w, layer.conv, moments);
  return batch_norm(u, layer.weight, layer.bias, layer.running_mean, layer.running_var,
                    options_of(layer, moments, residual));
}

// A convolution's result and what the batch norm after it normalises by.
BatchNormSaved forward_conv(const Tensor& x, const ConvNorm& layer, const NormalizedInput* input,
                            const Tensor& residual) {
  profile::Scope scope("conv2d");
  ChannelMoments moments;
  const Tensor u = kernels(x).conv.forward_with_moments(x, layer.w, conv2d_shape(x, layer.w, layer.conv), layer.conv,
                                                        input, moments);
  return batch_norm_constants(u, layer.weight, layer.bias, layer.running_mean, layer.running_var,
                              options_of(layer, moments, residual));
}

// What a block's backward needs. norm2.y, its result, is the next block's input.
struct SavedBlock {
  Tensor w1, w2;
  Conv2dOptions conv1, conv2;
  BatchNormSaved norm1 = {}, norm2 = {};
  NormalizedInput between = {};  // relu(bn1(norm1.x))
};

SavedBlock forward_block(const Tensor& x, const Tensor& residual, const BasicBlockLayers& layers) {
  const auto& [first, second] = layers;
  SavedBlock s{.w1 = first.w.detach(), .w2 = second.w.detach(), .conv1 = first.conv, .conv2 = second.conv};
  s.norm1 = forward_conv(x, first, nullptr, {});
  {
    const NoGradGuard no_grad;
    s.between.scale = s.norm1.inv_std * s.norm1.weight;
    s.between.shift = s.norm1.bias - s.norm1.mean * s.between.scale;
  }
  BatchNormSaved& n = s.norm2 = forward_conv(s.norm1.x, second, &s.between, residual);
  profile::Scope scope("batch_norm");
  n.y = empty_like(n.x);
  kernels(n.x).norm.normalize(n.x, n.mean, n.inv_std, n.weight, n.bias, residual, true, n.y);
  return s;
}

struct SavedStage {
  Tensor x;
  bool identity;  // the shortcut is x
  std::vector<SavedBlock> blocks = {};
};

constexpr std::size_t inputs_per_block = 6;

// The gradients of the convolutions' results are left to be made by their readers (LazyGradient): a convolution's
// backward is one sweep that begins with the batch norm after it and ends with the sums of the one before. What a block
// saved is freed once it is used.
Gradients backward_stage(SavedStage& s, const Tensor& dy, Needs needs) {
  const KernelTable& table = kernels(dy);
  const bool ours = owns_memory(dy);  // then what ReLU lets through may take its place
  LazyBatchNormGradients norm;        // of the block's second batch norm
  {
    profile::Scope scope("batch_norm", " backward");
    norm = table.norm.backward_lazy(s.blocks.back().norm2, dy, true);
  }
  profile::Scope scope("conv2d", " backward");
  Gradients out(2 + inputs_per_block * s.blocks.size());
  while (!s.blocks.empty()) {
    const SavedBlock block = std::move(s.blocks.back());
    s.blocks.pop_back();
    const std::size_t at = 2 + inputs_per_block * s.blocks.size();
    const auto put = [&](std::size_t i, const Tensor& dw, const Tensor& w, const LazyBatchNormGradients& of_norm) {
      out[at + i] = cast(dw, w.dtype()), out[at + i + 1] = of_norm.dweight, out[at + i + 2] = of_norm.dbias;
    };
    ConvNormGradients inner = table.conv.backward_norm(norm.dx, block.w2, block.conv2, block.norm1, &block.between, {});
    put(3, inner.dw, block.w2, norm);
    norm.dx = {};
    Tensor g = std::move(norm.dresidual);
    if (!s.blocks.empty()) {
      ConvNormGradients outer =
          table.conv.backward_norm(inner.norm.dx, block.w1, block.conv1, s.blocks.back().norm2, nullptr, g);
      put(0, outer.dw, block.w1, inner.norm);
      norm = std::move(outer.norm);
      continue;
    }
    // What x has from elsewhere is added to: as the residual, or by its other readers.
    const bool add = s.identity && (ours || !g.shares_storage(dy));
    const Tensor onto = add ? std::exchange(g, Tensor()) : needs.take(0);
    const ConvGradients outer = table.conv.backward(inner.norm.dx, s.x, block.w1, block.conv1, onto);
    put(0, outer.dw, block.w1, inner.norm);
    out[0] = outer.dx;
    out[1] = std::move(g);
  }
  return out;
}

}  // namespace

Tensor basic_blocks(const Tensor& input, const Tensor& shortcut, std::span<const BasicBlockLayers> blocks) {
  check(!blocks.empty(), "basic_blocks", "needs at least one block");
  if (input.format() != MemoryFormat::batch_lanes) {
    Tensor h = input, residual = shortcut;
    for (const auto& [first, second] : blocks) residual = h = conv_norm(conv_norm(h, first, {}), second, residual);
    return h;
  }
  const Tensor x = autocast_input(input);
  SavedStage saved{.x = x.detach(), .identity = shortcut.autograd() && shortcut.autograd() == x.autograd()};
  std::vector<Tensor> inputs{x, shortcut};
  Tensor h = saved.x, residual = shortcut.detach();
  for (const BasicBlockLayers& block : blocks) {
    saved.blocks.push_back(forward_block(h, residual, block));
    residual = h = saved.blocks.back().norm2.y;
    for (const ConvNorm* l : {&block.first, &block.second}) inputs.insert(inputs.end(), {l->w, l->weight, l->bias});
  }
  const Tensor y = h.detach();  // the op saves its own result
  return record("basic_blocks", y, inputs, [saved = std::move(saved)](const Tensor& dy, Needs needs) mutable {
    return backward_stage(saved, dy, needs);
  });
}

}  // namespace engine
