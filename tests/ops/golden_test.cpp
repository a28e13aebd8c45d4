// Compares with values that PyTorch made (tests/golden/make_ops.py): outputs, gradients, running statistics.
#include <doctest/doctest.h>

#include <functional>
#include <map>

#include "engine/autograd/backward.h"
#include "engine/io/safetensors.h"
#include "engine/ops/conv.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/index.h"
#include "engine/ops/loss.h"
#include "engine/ops/matmul.h"
#include "engine/ops/norm.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "engine/ops/softmax.h"
#include "tests/ops/cases.h"

using namespace engine;

namespace {

using Inputs = std::vector<Tensor>;
using Op = std::function<Tensor(const Inputs&)>;
using Table = std::map<std::string, Op>;

// One row per case of the file. A row of the file without one here fails, and the other way round.
Table elementwise() {
  return {
      {"relu", [](const Inputs& in) { return relu(in[0]); }},
      {"relu at zero", [](const Inputs& in) { return relu(in[0]); }},
      {"sigmoid", [](const Inputs& in) { return sigmoid(in[0]); }},
      {"tanh", [](const Inputs& in) { return tanh(in[0]); }},
      {"exp", [](const Inputs& in) { return exp(in[0]); }},
      {"log", [](const Inputs& in) { return log(in[0]); }},
      {"sqrt", [](const Inputs& in) { return sqrt(in[0]); }},
      {"abs", [](const Inputs& in) { return abs(in[0]); }},
      {"abs at zero", [](const Inputs& in) { return abs(in[0]); }},
      {"softplus", [](const Inputs& in) { return softplus(in[0]); }},
      {"pow", [](const Inputs& in) { return pow(in[0], 1.7); }},
      {"pow 3", [](const Inputs& in) { return pow(in[0], 3); }},
      {"clamp", [](const Inputs& in) { return clamp(in[0], {.min = -0.5, .max = 0.7}); }},
      {"clamp on its bounds", [](const Inputs& in) { return clamp(in[0], {.min = -0.5, .max = 0.75}); }},
      {"affine", [](const Inputs& in) { return affine(in[0], {.scale = 3, .shift = -1}); }},
      {"reciprocal", [](const Inputs& in) { return 2 / in[0]; }},
      {"add", [](const Inputs& in) { return in[0] + in[1]; }},
      {"sub", [](const Inputs& in) { return in[0] - in[1]; }},
      {"mul", [](const Inputs& in) { return in[0] * in[1]; }},
      {"div", [](const Inputs& in) { return in[0] / in[1]; }},
      {"where", [](const Inputs& in) { return where(in[0], in[1], in[2]); }},
      {"cast bf16", [](const Inputs& in) { return cast(cast(in[0], DType::bf16), DType::f32); }},
      {"cast f16", [](const Inputs& in) { return cast(cast(in[0], DType::f16), DType::f32); }},
  };
}

Table shapes() {
  return {
      {"reshape",
       [](const Inputs& in) {
         return reshape(in[0], {4, -1});
       }},
      {"permute",
       [](const Inputs& in) {
         return permute(in[0], {2, 0, 1});
       }},
      {"slice", [](const Inputs& in) { return slice(in[0], {.axis = 1, .start = 1, .end = 6, .step = 2}); }},
      {"select", [](const Inputs& in) { return select(in[0], 1, -2); }},
      {"pad", [](const Inputs& in) { return pad(in[0], {.axis = 1, .before = 2, .after = 1}); }},
      {"concat", [](const Inputs& in) { return concat(in, 1); }},
      {"stack", [](const Inputs& in) { return stack(in, -1); }},
      {"expand_to",
       [](const Inputs& in) {
         return expand_to(in[0], {2, 3, 5});
       }},
      {"sum", [](const Inputs& in) { return sum(in[0]); }},
      {"sum axes",
       [](const Inputs& in) {
         return sum(in[0], {.axes = {0, 2}});
       }},
      {"mean", [](const Inputs& in) { return mean(in[0]); }},
      {"mean keep", [](const Inputs& in) { return mean(in[0], {.axes = {1}, .keep = true}); }},
      {"max", [](const Inputs& in) { return max(in[0], {.axes = {1}}); }},
      {"max ties", [](const Inputs& in) { return max(in[0], {.axes = {1}}); }},
  };
}

Op conv(Conv2dOptions o) {
  return [o](const Inputs& in) { return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), o); };
}
Op norm(BatchNormOptions o) {
  return [o](const Inputs& in) {
    BatchNormOptions options = o;
    if (in.size() > 5) options.residual = in[5];
    return batch_norm(in[0], in[1], in[2], in[3], in[4], options);
  };
}
Op max_pool(Pool2dOptions o) {
  return [o](const Inputs& in) { return max_pool2d(in[0], o); };
}
Op avg_pool(Pool2dOptions o) {
  return [o](const Inputs& in) { return avg_pool2d(in[0], o); };
}

Table network() {
  const Op fc = [](const Inputs& in) { return linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor()); };
  const Op product = [](const Inputs& in) { return matmul(in[0], in[1]); };
  return {
      {"conv2d", conv({})},
      {"conv2d stem", conv({.padding = 1})},
      {"conv2d bias", conv({.padding = 1})},
      {"conv2d stride", conv({.stride = 2, .padding = 1})},
      {"conv2d dilation", conv({.padding = 2, .dilation = 2})},
      {"conv2d groups", conv({.padding = 1, .groups = 2})},
      {"conv2d depthwise", conv({.groups = 5})},
      {"conv2d pointwise", conv({.stride = 2})},
      {"conv2d uneven", conv({.stride = {1, 2}, .padding = {0, 2}, .dilation = {2, 1}})},
      {"linear", fc},
      {"linear without bias", fc},
      {"matmul", product},
      {"matmul batched", product},
      {"batch_norm train", norm({})},
      {"batch_norm momentum eps", norm({.momentum = 0.3, .eps = 1e-2})},
      {"batch_norm relu", norm({.relu = true})},
      {"batch_norm residual", norm({})},
      {"batch_norm residual relu", norm({.relu = true})},
      {"batch_norm features", norm({})},
      {"batch_norm eval", norm({.training = false})},
      {"batch_norm eval residual relu", norm({.training = false, .relu = true})},
      {"max_pool2d", max_pool({.kernel = 2})},
      {"max_pool2d padded", max_pool({.kernel = 3, .stride = 2, .padding = 1})},
      {"max_pool2d ties", max_pool({.kernel = 3, .stride = 2, .padding = 1})},
      {"max_pool2d all negative", max_pool({.kernel = 3, .stride = 2, .padding = 1})},
      {"max_pool2d uneven", max_pool({.kernel = {2, 4}, .stride = {1, 3}, .padding = {1, 2}})},
      {"avg_pool2d", avg_pool({.kernel = 2})},
      {"avg_pool2d padded", avg_pool({.kernel = 3, .stride = 2, .padding = 1})},
      {"avg_pool2d padding not counted",
       avg_pool({.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false})},
      {"avg_pool2d uneven",
       avg_pool({.kernel = {2, 4}, .stride = {1, 3}, .padding = {1, 2}, .count_include_pad = false})},
      {"global_avg_pool2d", [](const Inputs& in) { return global_avg_pool2d(in[0]); }},
  };
}

Op entropy(CrossEntropyOptions o) {
  return [o](const Inputs& in) {
    CrossEntropyOptions options = o;
    if (in.size() > 2) options.weight = in[2];
    return cross_entropy(in[0], in[1], options);
  };
}
Op bce(Reduction reduction) {
  return [reduction](const Inputs& in) {
    return bce_with_logits(in[0], in[1], {.pos_weight = in.size() > 2 ? in[2] : Tensor(), .reduction = reduction});
  };
}
Op divergence(KlReduction reduction) {
  return [reduction](const Inputs& in) { return kl_div(log_softmax(in[0], 1), in[1], reduction); };
}
Op normalize(NormalizeOptions o) {
  return [o](const Inputs& in) { return l2_normalize(in[0], o); };
}

Table losses() {
  Table table = {
      {"softmax", [](const Inputs& in) { return softmax(in[0], -1); }},
      {"softmax channels", [](const Inputs& in) { return softmax(in[0], 1); }},
      {"softmax extreme", [](const Inputs& in) { return softmax(in[0], -1); }},
      {"log_softmax", [](const Inputs& in) { return log_softmax(in[0], -1); }},
      {"log_softmax extreme", [](const Inputs& in) { return log_softmax(in[0], -1); }},
      {"cross_entropy weight", entropy({})},
      {"cross_entropy smoothing", entropy({.label_smoothing = 0.1})},
      {"cross_entropy soft", entropy({})},
      {"bce_with_logits", bce(Reduction::mean)},
      {"bce_with_logits extreme", bce(Reduction::none)},
      {"kl_div batchmean", divergence(KlReduction::batchmean)},
      {"kl_div sum", divergence(KlReduction::sum)},
      {"kl_div none", divergence(KlReduction::none)},
      {"kl_div zero targets", divergence(KlReduction::none)},
      {"l2_normalize", normalize({})},
      {"l2_normalize columns", normalize({.axis = 0})},
      {"l2_normalize zero row", normalize({.eps = 1e-2})},
  };
  for (const auto& [name, r] : std::map<std::string, Reduction>{
           {"mean", Reduction::mean}, {"sum", Reduction::sum}, {"none", Reduction::none}}) {
    table["cross_entropy " + name] = entropy({.reduction = r});
    table["cross_entropy weight smoothing " + name] = entropy({.label_smoothing = 0.1, .reduction = r});
    table["cross_entropy soft weight smoothing " + name] = entropy({.label_smoothing = 0.1, .reduction = r});
    table["bce_with_logits pos_weight " + name] = bce(r);
  }
  return table;
}

Table places() {
  return {
      {"topk", [](const Inputs& in) { return topk(in[0], {.k = 3}).values; }},
      {"topk indices", [](const Inputs& in) { return topk(in[0], {.k = 3}).indices; }},
      {"topk smallest", [](const Inputs& in) { return topk(in[0], {.k = 2, .largest = false}).values; }},
      {"sort", [](const Inputs& in) { return sort(in[0]).values; }},
      {"sort descending", [](const Inputs& in) { return sort(in[0], true).values; }},
      {"sort stable indices", [](const Inputs& in) { return sort(in[0]).indices; }},
      {"sort stable descending indices", [](const Inputs& in) { return sort(in[0], true).indices; }},
      {"sort nan indices", [](const Inputs& in) { return sort(in[0]).indices; }},
      {"argmax", [](const Inputs& in) { return argmax(in[0], 1); }},
      {"argmax nan", [](const Inputs& in) { return argmax(in[0], 1); }},
      {"gather", [](const Inputs& in) { return gather(in[0], 1, in[1]); }},
      {"gather first axis", [](const Inputs& in) { return gather(in[0], 0, in[1]); }},
      {"scatter", [](const Inputs& in) { return scatter(in[0], {.axis = 1}, in[1], in[2]); }},
      {"scatter add", [](const Inputs& in) { return scatter(in[0], {.axis = 0, .add = true}, in[1], in[2]); }},
      {"index_select", [](const Inputs& in) { return index_select(in[0], 1, in[1]); }},
  };
}

struct Golden {
  std::map<std::string, std::map<std::string, Tensor>> cases;  // case -> "in0", "out", ... -> value

  Golden() {
    for (const auto& [key, tensor] : load_safetensors(RIDE_SOURCE_ROOT "/tests/golden/ops.safetensors").tensors) {
      const std::size_t slash = key.find('/');
      cases[key.substr(0, slash)][key.substr(slash + 1)] = tensor;
    }
  }
};

// Sums of at most 150 products (a 5 x 5 image's gradient of a 3 x 3 kernel over 6 maps) and one exp or log in f32: a
// few times 1e-6 of values up to 10. The stored values are right to 6e-8.
constexpr double tolerance = 5e-6;

// Everything of one case that is off, as text.
std::string compare(const std::map<std::string, Tensor>& golden, const Op& op,
                    const std::function<Tensor(const Tensor&)>& arrange, DType dtype, double allowed) {
  Inputs inputs;
  for (int k = 0; golden.contains(fmt::format("in{}", k)); ++k) {
    Tensor x = golden.at(fmt::format("in{}", k));
    x = clone(is_floating(x.dtype()) ? arrange(cast(x, dtype)) : x);
    if (golden.contains(fmt::format("grad{}", k))) x.set_requires_grad();
    inputs.push_back(x);
  }
  std::string wrong;
  const auto expect = [&](const std::string& what, const Tensor& got) {
    const double off = test::difference(got, golden.at(what));
    if (!(off <= allowed)) wrong += fmt::format(" {} off by {}", what, off);
  };
  const Tensor y = op(inputs);
  expect("out", y);
  if (golden.contains("dy")) backward(y, arrange(cast(golden.at("dy"), dtype)));
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (golden.contains(fmt::format("grad{}", k))) expect(fmt::format("grad{}", k), inputs[k].grad());
    if (golden.contains(fmt::format("after{}", k))) expect(fmt::format("after{}", k), inputs[k]);
  }
  return wrong;
}

Tensor rows(const Tensor& x) { return x; }
Tensor pixels(const Tensor& x) { return x.rank() == 4 ? contiguous(x, MemoryFormat::channels_last) : x; }

}  // namespace

TEST_CASE("golden: outputs and gradients agree with PyTorch's") {
  Table table = elementwise();
  for (auto part : {shapes, network, losses, places}) table.merge(part());
  const Golden golden;
  for (const auto& [name, values] : golden.cases) CHECK_MESSAGE(table.contains(name), name, " is in the file only");
  for (const auto& [name, op] : table) {
    if (!golden.cases.contains(name)) {
      FAIL_CHECK(name << " is not in the file: run tests/golden/make_ops.py");
      continue;
    }
    try {
      const auto& values = golden.cases.at(name);
      const std::string narrow = compare(values, op, rows, DType::f32, tolerance);
      CHECK_MESSAGE(narrow.empty(), name, ":", narrow);
      const std::string last = compare(values, op, pixels, DType::f32, tolerance);
      CHECK_MESSAGE(last.empty(), name, " channels_last:", last);
      // In f64 only the rounding of the stored values is left.
      const std::string wide = compare(values, op, rows, DType::f64, 1e-7);
      CHECK_MESSAGE((wide.empty() || name.starts_with("cast")), name, " f64:", wide);
    } catch (const Error& error) {
      FAIL_CHECK(name << ": " << std::string(error.what()));
    }
  }
}
