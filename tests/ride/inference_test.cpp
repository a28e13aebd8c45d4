// Models under InferenceMode: the folded network answers as the unfolded one, alone, through the cascade and in bf16.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "ride/models/describe.h"
#include "ride/models/resnet.h"
#include "ride/models/resnet_cifar.h"
#include "ride/routing/cascade.h"
#include "tests/distance.h"

using namespace engine;
using test::relative_distance;

namespace {

Tensor random_images(const Shape& shape) {
  Generator random(3);
  Tensor images = Tensor::empty(shape, {.format = MemoryFormat::channels_last});
  for (int64_t i = 0; i < images.numel(); ++i) images.data<float>()[i] = random.normal();
  return images;
}

// Statistics and batch norm parameters as training leaves them: none is 0 or 1.
void unsettle(const Module& model) {
  Generator random(4);
  for (auto& [name, tensor] : model.state_dict()) {
    if (tensor.rank() != 1 || name.find("bn") == std::string::npos) continue;
    const bool positive = name.ends_with("running_var") || name.ends_with("weight");
    for (int64_t i = 0; i < tensor.numel(); ++i)
      tensor.data<float>()[i] = positive ? random.uniform(0.5f, 1.5f) : random.uniform(-0.3f, 0.3f);
  }
}

// Ops that ran, by name.
bool ran(const std::string& op) {
  for (const profile::Row& row : profile::rows())
    if (row.name == op) return true;
  return false;
}

std::unique_ptr<ride::ResNetCifar> small_model() {
  Generator random(1);
  auto model = std::make_unique<ride::ResNetCifar>(
      ride::ResNetCifarOptions{.classes = 10, .experts = 3, .reduce_dimension = true}, random);
  unsettle(*model);
  model->eval();
  return model;
}

// What lets half of the images go on behind the first expert.
double middle_probability(ride::ResNetCifar& model, const ride::ExpertAssignment& assignment, const Tensor& images) {
  const NoGradGuard no_grad;
  const Tensor features = model.features(0, model.shared(images));
  std::vector<double> p = sigmoid(assignment(0, features, model.classify(0, features))).to<double>();
  std::ranges::sort(p);
  return (p[p.size() / 2 - 1] + p[p.size() / 2]) / 2;
}

}  // namespace

TEST_CASE("ResNetCifar: batch norm folded gives the same logits, for one image and for many") {
  const auto model = small_model();
  for (const int64_t n : {1, 5, 18}) {
    const Tensor images = random_images({n, 3, 16, 16});
    std::vector<Tensor> expected;
    {
      const NoGradGuard no_grad;
      expected = model->forward(images).logits;
    }
    const InferenceMode inference;
    for (int repeat = 0; repeat < 2; ++repeat) {  // the second time from what was kept
      const std::vector<Tensor> logits = model->forward(images).logits;
      // Thirty-one layers, each rounding its sums to 2^-24 of them.
      for (std::size_t e = 0; e < logits.size(); ++e) CHECK(relative_distance(logits[e], expected[e]) < 1e-4);
    }
  }
}

TEST_CASE("ResNetCifar: every format gives the same logits under InferenceMode, for every small batch") {
  const auto model = [](std::optional<MemoryFormat> format) {
    Generator random(1);
    auto m = std::make_unique<ride::ResNetCifar>(
        ride::ResNetCifarOptions{.classes = 10, .experts = 3, .reduce_dimension = true, .format = format}, random);
    unsettle(*m);
    m->eval();
    return m;
  };
  const auto chosen = model({}), lanes = model(MemoryFormat::batch_lanes), last = model(MemoryFormat::channels_last),
             plain = model(MemoryFormat::contiguous);
  const InferenceMode inference;
  for (int64_t n = 1; n <= 17; ++n) {
    CAPTURE(n);
    const Tensor images = random_images({n, 3, 12, 20});
    const ride::ExpertOutput expected = plain->forward(images);
    for (const auto* other : {&chosen, &lanes, &last}) {
      const ride::ExpertOutput got = (*other)->forward(images);
      for (std::size_t e = 0; e < 3; ++e) {
        CHECK(relative_distance(got.logits[e], expected.logits[e]) < 1e-4);
        CHECK(relative_distance(got.features[e], expected.features[e]) < 1e-4);
      }
    }
  }
  CHECK(chosen->shared(contiguous(random_images({1, 3, 8, 8}))).format() == MemoryFormat::channels_last);
}

// What single threads take, and in which format a batch is computed, is decided by their number.
TEST_CASE("ResNetCifar: the number of threads changes logits under InferenceMode by rounding only") {
  const auto model = small_model();
  const InferenceMode inference;
  const int threads = num_threads();
  for (const int64_t n : {1, 4, 16, 21, 33, 60}) {
    CAPTURE(n);
    const Tensor images = random_images({n, 3, 12, 20});
    set_num_threads(1);
    const ride::ExpertOutput one = model->forward(images);
    for (const int more : {2, 3, 5}) {
      set_num_threads(more);
      const ride::ExpertOutput got = model->forward(images);
      for (std::size_t e = 0; e < 3; ++e) CHECK(relative_distance(got.logits[e], one.logits[e]) < 1e-4);
    }
    set_num_threads(threads);
  }
}

TEST_CASE("ResNetCifar: under InferenceMode no batch norm runs by itself; training and describe are as ever") {
  const auto model = small_model();
  const Tensor images = random_images({2, 3, 16, 16});
  const InferenceMode inference;
  profile::reset();
  profile::enable(true);
  model->forward(images);
  profile::enable(false);
  CHECK(ran("conv2d_fused"));
  CHECK_FALSE(ran("batch_norm"));

  const ride::Description described = ride::describe(*model, {.height = 16, .width = 16});
  CHECK(described.total.macs_with_bn > described.total.macs);

  const auto [name, mean] = model->state_dict()[3];
  REQUIRE(name == "bn1.running_mean");
  const Tensor before = clone(mean);
  model->train();
  model->forward(images);
  CHECK(relative_distance(mean, before) > 0);
}

TEST_CASE("ResNetCifar: in bf16 the folded network stays as near to f32 as the unfolded one") {
  const auto model = small_model();
  const Tensor images = random_images({3, 3, 16, 16});
  const NoGradGuard no_grad;
  const Tensor exact = model->forward(images).logits[0];
  const Autocast autocast(DType::bf16);
  const Tensor plain = model->forward(images).logits[0];
  const InferenceMode inference;
  const Tensor folded = model->forward(images).logits[0];
  CHECK(folded.dtype() == DType::f32);
  CHECK(relative_distance(plain, exact) > 0);
  // Roundings of 2^-9 in each of 31 layers. Folding leaves out the one between convolution and batch norm.
  CHECK(relative_distance(plain, exact) < 0.1);
  CHECK(relative_distance(folded, exact) < 0.1);
}

TEST_CASE("cascade: the folded network sends each image to as many experts and gives the same answer") {
  const auto model = small_model();
  Generator random(2);
  const ride::ExpertAssignment assignment(
      {.experts = 3, .features = model->feature_dimension(), .classes = 10, .top_choices = 5}, random);
  const Tensor images = random_images({20, 3, 16, 16});
  const ride::CascadeNetwork network = ride::cascade_network(*model);
  const double threshold = middle_probability(*model, assignment, images);
  const ride::CascadeResult plain = ride::cascade(network, assignment, images, {.threshold = threshold});
  const InferenceMode inference;
  const ride::CascadeResult folded = ride::cascade(network, assignment, images, {.threshold = threshold});
  const std::vector<int64_t> used = plain.experts_used.to<int64_t>();
  CHECK(std::ranges::count(used, 1) == 10);
  CHECK(folded.experts_used.to<int64_t>() == used);
  CHECK(relative_distance(folded.logits, plain.logits) < 1e-4);
}

TEST_CASE("ResNet: bottlenecks fold too, downsampling and groups included") {
  Generator random(1);
  ride::ResNet model({.blocks = {1, 1, 1, 1}, .classes = 7, .width = {.groups = 2, .group_width = 32}}, random);
  unsettle(model);
  model.eval();
  const Tensor images = random_images({2, 3, 48, 40});
  const NoGradGuard no_grad;
  const Tensor expected = model(images);
  const InferenceMode inference;
  CHECK(relative_distance(model(images), expected) < 1e-4);
}
