#include <array>

#include "engine/ops/basic_blocks.h"
#include "engine/ops/conv.h"
#include "engine/ops/matmul.h"
#include "engine/ops/norm.h"
#include "engine/ops/pool.h"
#include "engine/ops/shape_ops.h"
#include "tests/ops/cases.h"

namespace engine::test {
namespace {

using Inputs = std::vector<Tensor>;

// Sums of up to 500 products below 1: 500 roundings of partial sums below 30, in any order.
constexpr double products = 2e-5;
// Weight gradients of the large cases sum up to 5,000 products of partial sums below 100.
constexpr double large_products = 5e-4;
// Normalising divides by a standard deviation that is itself a sum; its gradient subtracts two means.
constexpr double normalised = 3e-5;

struct ConvRow {
  const char* name;
  Shape x, w;
  Conv2dOptions options = {};
  bool bias = false;
  bool large = false;
};

const std::vector<ConvRow> conv_rows = {
    {"conv2d 1x1", {1, 1, 1, 1}, {1, 1, 1, 1}},
    {"conv2d", {2, 3, 5, 7}, {5, 3, 3, 3}},
    {"conv2d bias", {2, 3, 5, 7}, {5, 3, 3, 3}, {}, true},
    {"conv2d same", {2, 3, 7, 7}, {4, 3, 3, 3}, {.padding = 1}},
    {"conv2d stride", {2, 3, 7, 9}, {4, 3, 3, 3}, {.stride = 2, .padding = 1}},
    {"conv2d stride leaves a rest", {1, 2, 8, 6}, {3, 2, 3, 3}, {.stride = {3, 2}}},
    {"conv2d dilation", {1, 2, 9, 9}, {3, 2, 3, 3}, {.padding = 2, .dilation = 2}},
    {"conv2d uneven", {2, 2, 6, 9}, {3, 2, 2, 5}, {.stride = {1, 2}, .padding = {0, 2}, .dilation = {2, 1}}, true},
    {"conv2d groups", {2, 6, 5, 5}, {4, 3, 3, 3}, {.padding = 1, .groups = 2}, true},
    {"conv2d depthwise", {2, 5, 5, 5}, {5, 1, 3, 3}, {.padding = 1, .groups = 5}},
    {"conv2d pointwise", {2, 7, 3, 3}, {17, 7, 1, 1}, {.stride = 2}},
    {"conv2d kernel of the input's size", {3, 2, 4, 4}, {5, 2, 4, 4}},
    {"conv2d 33 channels", {1, 17, 3, 3}, {33, 17, 3, 3}, {.padding = 1}},
    {"conv2d empty batch", {0, 3, 5, 5}, {4, 3, 3, 3}, {.padding = 1}, true},
    {"conv2d stem", {5, 3, 32, 32}, {16, 3, 3, 3}, {.padding = 1}, false, true},
    {"conv2d block", {5, 16, 32, 32}, {16, 16, 3, 3}, {.padding = 1}, false, true},
    {"conv2d down", {5, 16, 32, 32}, {32, 16, 3, 3}, {.stride = 2, .padding = 1}, false, true},
    {"conv2d deep", {5, 64, 8, 8}, {48, 64, 3, 3}, {.padding = 1}, true, true},
    {"conv2d odd", {3, 13, 17, 11}, {19, 13, 5, 3}, {.stride = {1, 2}, .padding = {2, 0}}, true, true},
};

void add_conv(std::vector<Case>& cases) {
  for (const ConvRow& row : conv_rows) {
    std::vector<Input> inputs = {{row.x}, {row.w, -0.5, 0.5}};
    if (row.bias) inputs.push_back({{row.w[0]}});
    cases.push_back(
        {row.name,
         inputs,
         [o = row.options](const Inputs& in) { return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), o); },
         row.large ? large_products : products,
         {.gradient = !row.large}});
  }
}

void add_products(std::vector<Case>& cases) {
  const auto mm = [](const Inputs& in) { return matmul(in[0], in[1]); };
  const auto fc = [](const Inputs& in) { return linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor()); };
  for (int64_t n : {0, 1, 3, 5, 7, 17, 33}) {
    cases.push_back({fmt::format("matmul {} x 5 x 7", n), {{{n, 5}}, {{5, 7}}}, mm, products});
    cases.push_back({fmt::format("matmul 3 x {} x 5", n), {{{3, n}}, {{n, 5}}}, mm, products});
    cases.push_back({fmt::format("linear {} rows", n), {{{n, 7}}, {{5, 7}}, {{5}}}, fc, products});
  }
  cases.push_back({"matmul 7 x 5 x 1", {{{7, 5}}, {{5, 1}}}, mm, products});
  cases.push_back({"matmul batched", {{{3, 5, 7}}, {{3, 7, 2}}}, mm, products});
  cases.push_back({"matmul batch of one", {{{1, 2, 3}}, {{1, 3, 4}}}, mm, products});
  cases.push_back({"matmul empty batch", {{{0, 2, 3}}, {{0, 3, 4}}}, mm, products});
  cases.push_back({"linear without bias", {{{5, 17}}, {{3, 17}}}, fc, products});
  cases.push_back({"linear large", {{{130, 65}}, {{101, 65}}, {{101}}}, fc, large_products, {.gradient = false}});
  cases.push_back({"matmul large", {{{257, 129}}, {{129, 65}}}, mm, large_products, {.gradient = false}});
}

struct NormRow {
  const char* name;
  Shape x;
  bool training = true, residual = false, relu = false, large = false;
};

const std::vector<NormRow> norm_rows = {
    {"batch_norm", {3, 2, 5, 7}},
    {"batch_norm relu", {3, 2, 5, 7}, true, false, true},
    {"batch_norm residual", {3, 2, 5, 7}, true, true},
    {"batch_norm residual relu", {3, 5, 3, 3}, true, true, true},
    {"batch_norm features", {7, 5}},
    {"batch_norm features relu", {17, 3}, true, false, true},
    {"batch_norm two values", {2, 3, 1, 1}},
    {"batch_norm one image", {1, 3, 5, 5}},
    {"batch_norm 33 channels", {2, 33, 3, 3}},
    {"batch_norm empty batch", {0, 3, 5, 5}, false},
    {"batch_norm eval", {3, 2, 5, 7}, false},
    {"batch_norm eval relu", {3, 2, 5, 7}, false, false, true},
    {"batch_norm eval residual relu", {2, 5, 3, 3}, false, true, true},
    {"batch_norm eval 1x1", {1, 1, 1, 1}, false},
    {"batch_norm eval features", {5, 17}, false},
    {"batch_norm large", {16, 17, 31, 31}, true, false, false, true},
    {"batch_norm large residual relu", {16, 16, 32, 32}, true, true, true, true},
    {"batch_norm large eval relu", {16, 16, 32, 32}, false, false, true, true},
};

void add_norm(std::vector<Case>& cases) {
  for (const NormRow& row : norm_rows) {
    const Shape channels{row.x[1]};
    std::vector<Input> inputs = {
        {row.x, -1, 2}, {channels, 0.5, 2}, {channels}, constant(channels, -0.5, 0.5), constant(channels, 0.5, 2)};
    if (row.residual) inputs.push_back({row.x});
    cases.push_back({row.name,
                     inputs,
                     [training = row.training, relu = row.relu](const Inputs& in) {
                       return batch_norm(
                           in[0], in[1], in[2], in[3], in[4],
                           {.training = training, .residual = in.size() > 5 ? in[5] : Tensor(), .relu = relu});
                     },
                     // A channel's weight gradient sums up to 16,000 terms in the large cases. With two values per
                     // channel dx is a difference of nearly equal numbers.
                     row.large ? 1e-3 : normalised,
                     {.gradient = !row.large}});
  }
}

// Convolutions and batch norms that know of one another: a layer's moments taken with its result, and a normalised
// image made where the next convolution reads it.
void add_pairs(std::vector<Case>& cases) {
  const Input weight{{4}, 0.5, 2}, bias{{4}}, mean = constant({4}, -0.5, 0.5), variance = constant({4}, 0.5, 2);
  for (const int64_t stride : {1, 2}) {
    const Conv2dOptions options{.stride = stride, .padding = 1};
    cases.push_back({fmt::format("conv2d_with_moments batch_norm, stride {}", stride),
                     {{{3, 2, 5, 6}}, {{4, 2, 3, 3}}, weight, bias, mean, variance},
                     [options](const Inputs& in) {
                       ChannelMoments moments;
                       const Tensor y = conv2d_with_moments(in[0], in[1], options, moments);
                       return batch_norm(y, in[2], in[3], in[4], in[5], {.moments = &moments});
                     },
                     normalised});
    cases.push_back({fmt::format("basic_blocks, stride {}", stride),
                     {{{3, 2, 5, 6}, -1, 2},
                      {{4, 2, 3, 3}},
                      weight,
                      bias,
                      mean,
                      variance,
                      {{4, 4, 3, 3}},
                      {stride == 1 ? Shape{3, 4, 5, 6} : Shape{3, 4, 3, 3}}},
                     [options](const Inputs& in) {
                       const auto layer = [&](const Tensor& w, const Conv2dOptions& conv) {
                         return ConvNorm{w, conv, in[2], in[3], in[4], in[5]};
                       };
                       const ConvNorm first = layer(in[1], options), other = layer(in[6], {.padding = 1});
                       const Tensor shortcut = cast(in[7], in[0].dtype());
                       return basic_blocks(in[0], shortcut, std::array{BasicBlockLayers{first, other}});
                     },
                     normalised});
  }
}

struct PoolRow {
  const char* name;
  Shape x;
  Pool2dOptions options;
};

const std::vector<PoolRow> pool_rows = {
    {"2x2", {2, 3, 6, 4}, {.kernel = 2}},
    {"1x1", {1, 1, 1, 1}, {.kernel = 1}},
    {"2x2 rest", {1, 2, 5, 7}, {.kernel = 2}},
    {"overlapping", {2, 3, 7, 7}, {.kernel = 3, .stride = 2}},
    {"padded", {2, 3, 7, 7}, {.kernel = 3, .stride = 2, .padding = 1}},
    {"uneven", {1, 2, 6, 9}, {.kernel = {2, 4}, .stride = {1, 3}, .padding = {1, 2}}},
    {"gaps", {1, 2, 7, 7}, {.kernel = 2, .stride = 3}},
    {"empty batch", {0, 3, 6, 6}, {.kernel = 2}},
    {"33 channels", {1, 33, 5, 5}, {.kernel = 3, .stride = 1, .padding = 1}},
    {"large", {16, 17, 31, 31}, {.kernel = 3, .stride = 2, .padding = 1}},
};

void add_pool(std::vector<Case>& cases) {
  for (const PoolRow& row : pool_rows) {
    const Uses uses{.gradient = row.x.numel() < 10000};
    Pool2dOptions o = row.options;
    cases.push_back({fmt::format("max_pool2d {}", row.name),
                     {{row.x}},
                     [o](const Inputs& in) { return max_pool2d(in[0], o); },
                     products,
                     uses});
    cases.push_back({fmt::format("avg_pool2d {}", row.name),
                     {{row.x}},
                     [o](const Inputs& in) { return avg_pool2d(in[0], o); },
                     products,
                     uses});
    o.count_include_pad = false;
    cases.push_back({fmt::format("avg_pool2d {} without padding", row.name),
                     {{row.x}},
                     [o](const Inputs& in) { return avg_pool2d(in[0], o); },
                     products,
                     uses});
  }
  const auto global = [](const Inputs& in) { return global_avg_pool2d(in[0]); };
  for (const Shape& shape : {Shape{3, 5, 7, 7}, Shape{1, 1, 1, 1}, Shape{0, 3, 4, 4}, Shape{2, 33, 3, 5}})
    cases.push_back({fmt::format("global_avg_pool2d {}", shape), {{shape}}, global, products});
  cases.push_back({"global_avg_pool2d large", {{{16, 64, 8, 8}}}, global, products, {.gradient = false}});
}

struct SubsampleRow {
  Shape x;
  SubsampleOptions options;
};

const std::vector<SubsampleRow> subsample_rows = {
    {{2, 3, 5, 4}, {.stride = 2, .channels_before = 1, .channels_after = 2}},
    {{1, 1, 1, 1}, {.stride = 3, .channels_before = 1, .channels_after = 0}},
    {{2, 5, 7, 9}, {.stride = 3}},
    {{3, 2, 4, 4}, {.stride = 1, .channels_before = 2, .channels_after = 2}},
    {{0, 2, 3, 3}, {.stride = 2, .channels_before = 1, .channels_after = 1}},
};

void add_subsample(std::vector<Case>& cases) {
  for (const SubsampleRow& row : subsample_rows)
    cases.push_back({fmt::format("subsample2d {} stride {}", row.x, row.options.stride),
                     {{row.x}},
                     [o = row.options](const Inputs& in) { return subsample2d(in[0], o); },
                     0});
}

}  // namespace

std::vector<Case> network_cases() {
  std::vector<Case> cases;
  add_conv(cases);
  add_products(cases);
  add_norm(cases);
  add_pairs(cases);
  add_pool(cases);
  add_subsample(cases);
  return cases;
}

}  // namespace engine::test
