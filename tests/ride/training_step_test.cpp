// A few whole training steps: memory settles, the loss falls, and the same steps give the same bits.
#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "engine/autograd/autocast.h"
#include "engine/core/allocator.h"
#include "engine/core/parallel.h"
#include "engine/core/profile.h"
#include "engine/optim/sgd.h"
#include "ride/losses/ride_loss.h"
#include "ride/models/resnet_cifar.h"

using namespace engine;

namespace {

struct Steps {
  std::vector<double> losses;
  std::vector<std::size_t> system_allocations;  // after each step
  std::vector<float> weights;                   // of the first convolution, at the end
};

Steps train_steps(int steps, std::optional<MemoryFormat> format = {}, DType precision = DType::f32) {
  const Autocast autocast(precision);
  Generator random(1);
  ride::ResNetCifar model({.classes = 10, .experts = 2, .reduce_dimension = true, .format = format}, random);
  Tensor images = Tensor::empty({24, 3, 16, 16}, {.format = MemoryFormat::channels_last});
  for (int64_t i = 0; i < images.numel(); ++i) images.data<float>()[i] = random.normal();
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < 24; ++i) classes.push_back(i % 10);
  const Tensor labels = Tensor::from(classes, {24});
  const std::vector<int64_t> counts = {50, 40, 30, 25, 20, 15, 10, 8, 6, 5};
  ride::RideLoss criterion(std::make_unique<ride::LdamLoss>(counts), counts, {.reweight_epoch = 0});
  Sgd optimizer(model.named_parameters(), {.momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});

  Steps out;
  for (int i = 0; i < steps; ++i) {
    const ride::LossValue loss = criterion(model.forward(images).logits, labels);
    out.losses.push_back(loss.total.item());
    optimizer.zero_grad();
    loss.total.backward();
    optimizer.step(0.02);
    out.system_allocations.push_back(cpu_allocator().stats().system_allocations);
  }
  for (const auto& [name, parameter] : model.named_parameters()) {
    CHECK_MESSAGE(parameter.dtype() == DType::f32, name);
    CHECK_MESSAGE(parameter.grad().dtype() == DType::f32, name);
  }
  out.weights = model.state_dict().front().second.to<float>();
  return out;
}

}  // namespace

TEST_CASE("a training step asks the system for no memory after the first few") {
  // On one thread: how many scratch buffers of several threads live at the same time is up to the scheduler.
  const int threads = num_threads();
  set_num_threads(1);
  const Steps steps = train_steps(6);
  set_num_threads(threads);
  CHECK(steps.system_allocations[2] > 0);
  CHECK(steps.system_allocations[5] == steps.system_allocations[2]);
}

// Those that run a kernel of their own; views and what is made of other ops report nothing under their own name.
TEST_CASE("the ops of a training step report their work to the profiler") {
  for (const MemoryFormat format : {MemoryFormat::channels_last, MemoryFormat::batch_lanes}) {
    profile::reset();
    profile::enable(true);
    train_steps(1, format);
    profile::enable(false);
    std::map<std::string, double> work;
    for (const profile::Row& row : profile::rows()) work[row.name] = row.flops + row.bytes;
    for (const char* op : {"conv2d", "conv2d backward", "batch_norm", "batch_norm backward", "subsample2d",
                           "subsample2d backward", "global_avg_pool2d", "global_avg_pool2d backward", "matmul",
                           "matmul backward", "ensemble_loss", "ensemble_loss backward", "sum", "mul", "affine", "sgd"})
      CHECK_MESSAGE(work[op] > 0, std::string(op), " in ", name(format));
    profile::reset();
  }
}

TEST_CASE("training steps lower the loss on the batch they see, bit for bit the same each time") {
  const Steps first = train_steps(12), second = train_steps(12);
  CHECK(first.losses.back() < 0.5 * first.losses.front());
  CHECK(first.losses == second.losses);
  CHECK(first.weights == second.weights);
}

// Both start from the same weights. Differences of rounding grow with every step, on some processors to 3 % of the
// first loss after ten.
TEST_CASE("training in batch_lanes follows training in channels_last") {
  const Steps lanes = train_steps(12, MemoryFormat::batch_lanes), last = train_steps(12, MemoryFormat::channels_last);
  CHECK(std::abs(lanes.losses.front() - last.losses.front()) < 1e-5 * last.losses.front());
  for (std::size_t i = 0; i < last.losses.size(); ++i)
    CHECK_MESSAGE(std::abs(lanes.losses[i] - last.losses[i]) < (i < 4 ? 0.002 : 0.08) * last.losses.front(), "step ", i,
                  ": ", lanes.losses[i], " and ", last.losses[i]);
}

// Sums that are one per thread (the gradients of Winograd's weights) are added up in another order.
TEST_CASE("a training step on one thread and on three differs by rounding only") {
  const int threads = num_threads();
  set_num_threads(1);
  const Steps one = train_steps(2, MemoryFormat::batch_lanes);
  set_num_threads(3);
  const Steps three = train_steps(2, MemoryFormat::batch_lanes);
  set_num_threads(threads);
  CHECK(one.losses[0] == three.losses[0]);
  CHECK(one.losses[1] == doctest::Approx(three.losses[1]).epsilon(1e-4));
  REQUIRE(one.weights.size() == three.weights.size());
  double worst = 0;
  for (std::size_t i = 0; i < one.weights.size(); ++i)
    worst = std::max<double>(worst, std::abs(one.weights[i] - three.weights[i]));
  CHECK(std::isfinite(one.losses[1]));
  CHECK(worst < 1e-4);
}

TEST_CASE("in bf16 the loss falls as in f32, bit for bit the same each time") {
  const Steps mixed = train_steps(12, {}, DType::bf16), again = train_steps(12, {}, DType::bf16),
              full = train_steps(12);
  // The first losses differ by bf16's rounding of the activations alone (2^-9 of each, averaged over a batch); later
  // ones by what the steps made of that.
  CHECK(mixed.losses.front() != full.losses.front());
  CHECK(mixed.losses.front() == doctest::Approx(full.losses.front()).epsilon(0.01));
  CHECK(mixed.losses.back() < 0.5 * mixed.losses.front());
  CHECK(mixed.losses.back() == doctest::Approx(full.losses.back()).epsilon(0.2));
  CHECK(mixed.losses == again.losses);
  CHECK(mixed.weights == again.weights);
}

TEST_CASE("a channels_last network converts no format, forward or backward") {
  profile::reset();
  profile::enable(true);
  train_steps(1, MemoryFormat::channels_last);
  profile::enable(false);
  bool saw_conv = false;
  for (const profile::Row& row : profile::rows()) {
    saw_conv = saw_conv || (row.name == "conv2d backward" && row.flops > 0);
    for (const char* layout : {"channels_last", "contiguous", "strided"})
      CHECK_MESSAGE(row.name.find(layout) == std::string::npos, row.name << ", " << row.calls << " calls");
  }
  CHECK(saw_conv);
}
