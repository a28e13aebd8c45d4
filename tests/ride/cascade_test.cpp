#include "ride/routing/cascade.h"

#include <doctest/doctest.h>

#include <utility>

#include "engine/ops/index.h"
#include "engine/ops/matmul.h"
#include "engine/ops/shape_ops.h"
#include "ride/models/resnet_cifar.h"
#include "tests/golden.h"

using namespace ride;
using engine::Tensor;

namespace {

constexpr int64_t features = 6, classes = 7;

Tensor random_tensor(const engine::Shape& shape, engine::Generator& generator) {
  Tensor x = Tensor::empty(shape);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = generator.normal();
  return x;
}

// A network of plain matrices that notes which rows each expert was called with. Row r of the input starts with r.
struct FakeNetwork {
  std::vector<Tensor> expert, head;
  std::vector<std::vector<int64_t>> calls;  // per expert

  FakeNetwork(int64_t experts, engine::Generator& generator) : calls(experts) {
    for (int64_t e = 0; e < experts; ++e) {
      expert.push_back(random_tensor({features, features + 1}, generator));
      head.push_back(random_tensor({classes, features}, generator));
      for (int64_t row = 0; row < features; ++row)
        expert[e].data<float>()[row * (features + 1)] = 0;  // the number itself
    }
  }
  Tensor shared(const Tensor& images) { return images; }
  Tensor features_of(int64_t e, const Tensor& h) { return engine::linear(h, expert[e]); }
  Tensor classify(int64_t e, const Tensor& f) { return engine::linear(f, head[e]); }

  CascadeNetwork callables() {
    return {.shared = [this](const Tensor& x) { return shared(x); },
            .features =
                [this](int64_t e, const Tensor& all, const Tensor& rows) {
                  const Tensor h = rows.defined() ? engine::index_select(all, 0, rows) : all;
                  for (int64_t i = 0; i < h.size(0); ++i)
                    calls[e].push_back(static_cast<int64_t>(h.to<float>()[i * (features + 1)]));
                  return features_of(e, h);
                },
            .classify = [this](int64_t e, const Tensor& f) { return classify(e, f); }};
  }
};

Tensor numbered_images(int64_t n, engine::Generator& generator) {
  Tensor images = random_tensor({n, features + 1}, generator);
  for (int64_t i = 0; i < n; ++i) images.data<float>()[i * (features + 1)] = static_cast<float>(i);
  return images;
}

// All experts on all samples, then the answer each sample would have got: what the cascade must equal.
struct Expected {
  std::vector<float> logits;
  std::vector<int64_t> experts_used;
  std::vector<std::vector<int64_t>> calls;  // rows per expert
};

Expected compute_all_then_mask(FakeNetwork& network, const ExpertAssignment& assignment, const Tensor& images,
                               const CascadeOptions& options) {
  const int64_t experts = assignment.options().experts;
  std::vector<Tensor> feature;
  ExpertLogits logits;
  for (int64_t e = 0; e < experts; ++e) {
    feature.push_back(network.features_of(e, images));
    logits.push_back(network.classify(e, feature[e]));
  }
  const std::vector<Tensor> means = cumulative_means(logits);
  const std::vector<Tensor> heads = assignment.heads(feature, logits, options.variant);
  Expected expected{.logits = {}, .experts_used = {}, .calls = std::vector<std::vector<int64_t>>(experts)};
  for (int64_t i = 0; i < images.size(0); ++i) {
    int64_t used = 1;
    expected.calls[0].push_back(i);
    while (used < experts) {
      const float p = 1 / (1 + std::exp(-heads[used - 1].to<float>()[i]));
      if (options.variant == Variant::reference ? !(p > options.threshold) : !(p >= options.threshold)) break;
      expected.calls[used++].push_back(i);
    }
    expected.experts_used.push_back(used);
    for (int64_t c = 0; c < classes; ++c) expected.logits.push_back(means[used - 1].to<float>()[i * classes + c]);
  }
  return expected;
}

}  // namespace

TEST_CASE("the cascade equals all experts then a mask, and calls each expert on the survivors alone") {
  engine::Generator generator(15);
  FakeNetwork network(4, generator);
  const ExpertAssignment assignment({.experts = 4, .features = features, .classes = classes}, generator);
  const Tensor images = numbered_images(53, generator);
  for (const Variant variant : {Variant::reference, Variant::paper})
    for (const double threshold : {0.3, 0.5, 0.7}) {
      const CascadeOptions options{.variant = variant, .threshold = threshold};
      CAPTURE(ride::name(variant));
      CAPTURE(threshold);
      for (auto& rows : network.calls) rows.clear();
      const Expected expected = compute_all_then_mask(network, assignment, images, options);
      const CascadeResult result = cascade(network.callables(), assignment, images, options);
      CHECK(result.experts_used.to<int64_t>() == expected.experts_used);
      CHECK(network.calls == expected.calls);
      CHECK(difference(result.logits, Tensor::from(expected.logits, {53, classes})) < 1e-5);
    }
}

TEST_CASE("batch after batch of fixed sizes the cascade gives what it gives without, and computes little more") {
  engine::Generator generator(15);
  FakeNetwork network(4, generator);
  const ExpertAssignment assignment({.experts = 4, .features = features, .classes = classes}, generator);
  // Batches of which half go on, of one size and a smaller one; then one of which all do.
  const Tensor images = numbered_images(200, generator), easy = numbered_images(77, generator);
  for (const Variant variant : {Variant::reference, Variant::paper}) {
    CAPTURE(ride::name(variant));
    const CascadeOptions options{.variant = variant, .threshold = 0.6};
    Cascade fixed(network.callables(), assignment, options, true);
    const auto check = [&](const Tensor& batch) {
      const CascadeResult wanted = cascade(network.callables(), assignment, batch, options);
      std::vector<std::size_t> needed, computed;
      for (auto& rows : network.calls) needed.push_back(std::exchange(rows, {}).size());
      const CascadeResult got = fixed(batch);
      for (auto& rows : network.calls) computed.push_back(std::exchange(rows, {}).size());
      CHECK(got.experts_used.to<int64_t>() == wanted.experts_used.to<int64_t>());
      CHECK(difference(got.logits, wanted.logits) < 1e-5);
      return std::pair{needed, computed};
    };
    for (auto& rows : network.calls) rows.clear();
    CHECK(check(images).second == std::vector<std::size_t>(4, 200));  // nothing is known yet
    const auto [needed, computed] = check(images);
    for (int e = 1; e < 4; ++e) {
      CHECK(needed[e] < 150);
      CHECK(computed[e] >= needed[e]);
      CHECK(computed[e] <= needed[e] + needed[e] / 8 + 16);
    }
    check(easy);
    // The samples of the first batch that go furthest, over and over: more than was ever needed.
    const std::vector<int64_t> used =
        cascade(network.callables(), assignment, images, options).experts_used.to<int64_t>();
    std::vector<int64_t> far;
    for (int64_t i = 0; far.size() < 200; i = (i + 1) % 200)
      if (used[i] == 4) far.push_back(i);
    for (auto& rows : network.calls) rows.clear();
    const Tensor hard = engine::index_select(images, 0, Tensor::from(far, {200}));
    const auto [all, twice] = check(hard);
    CHECK(all[3] == 200);
    CHECK(twice[0] == 400);
    CHECK(check(hard).second == std::vector<std::size_t>(4, 200));
    check(Tensor::zeros({0, features + 1}));
  }
  // Experts that nobody needed are not run, until somebody does.
  Cascade fixed(network.callables(), assignment, {.threshold = 1}, true);
  for (auto& rows : network.calls) rows.clear();
  fixed(images);
  CHECK(network.calls[3].size() == 200);
  fixed(images);
  for (int e = 1; e < 4; ++e) CHECK(network.calls[e].size() == 200);
  CHECK(network.calls[0].size() == 400);
}

TEST_CASE("the test network really stops at different experts") {
  engine::Generator generator(15);
  FakeNetwork network(4, generator);
  const ExpertAssignment assignment({.experts = 4, .features = features, .classes = classes}, generator);
  const CascadeResult result = cascade(network.callables(), assignment, numbered_images(53, generator));
  std::vector<int> histogram(5);
  for (const int64_t used : result.experts_used.to<int64_t>()) ++histogram[used];
  for (int used = 1; used <= 4; ++used) CHECK(histogram[used] > 0);
}

TEST_CASE("exactly at the threshold the reference stops and the paper goes on") {
  engine::Generator generator(2);
  FakeNetwork network(2, generator);
  const ExpertAssignment assignment({.experts = 2, .features = features, .classes = classes}, generator);
  for (const auto& [name, tensor] : assignment.state_dict())  // every head answers 0, so p = 1/2
    engine::copy_into(Tensor::zeros(tensor.shape()), tensor);
  const Tensor images = numbered_images(5, generator);
  const auto used = [&](Variant variant) {
    return cascade(network.callables(), assignment, images, {.variant = variant}).experts_used.to<int64_t>();
  };
  CHECK(used(Variant::reference) == std::vector<int64_t>(5, 1));
  CHECK(network.calls[1].empty());
  CHECK(used(Variant::paper) == std::vector<int64_t>(5, 2));
  CHECK(network.calls[1].size() == 5);
}

TEST_CASE("the cascade of an empty batch is empty") {
  engine::Generator generator(2);
  FakeNetwork network(3, generator);
  const ExpertAssignment assignment({.experts = 3, .features = features, .classes = classes}, generator);
  const CascadeResult result = cascade(network.callables(), assignment, Tensor::zeros({0, features + 1}));
  CHECK(result.logits.shape() == engine::Shape{0, classes});
  CHECK(result.experts_used.shape() == engine::Shape{0});
}

TEST_CASE("the cascade over a ResNet: nobody stops, everybody stops") {
  engine::Generator generator(5);
  ResNetCifar net({.classes = 10, .experts = 3, .reduce_dimension = true}, generator);
  net.eval();
  const ExpertAssignment assignment({.experts = 3, .features = net.feature_dimension(), .classes = 10}, generator);
  const Tensor images = random_tensor({3, 3, 16, 16}, generator);
  const CascadeResult all = cascade(cascade_network(net), assignment, images, {.threshold = -1});
  CHECK(all.experts_used.to<int64_t>() == std::vector<int64_t>{3, 3, 3});
  const ExpertLogits logits = net.forward(images).logits;
  CHECK(difference(all.logits, mean_logits(logits)) < 1e-5);
  CHECK_FALSE(all.logits.requires_grad());
  const CascadeResult one = cascade(cascade_network(net), assignment, images, {.threshold = 1});
  CHECK(one.experts_used.to<int64_t>() == std::vector<int64_t>{1, 1, 1});
  CHECK(difference(one.logits, logits[0]) < 1e-5);
}
