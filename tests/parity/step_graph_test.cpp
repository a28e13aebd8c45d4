// A recorded training step beside the same step run again and again.
#include "engine/kernels/step_graph.h"
#include "engine/core/random.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/matmul.h"
#include "engine/ops/shape_ops.h"
#include "engine/optim/adamw.h"
#include "engine/optim/sgd.h"
#include "tests/error_of.h"
#include "tests/parity/device.h"
#include "tests/parity/training.h"

using namespace engine;
using namespace engine::test;

namespace {

// A linear classifier with its optimizer, trained on batches that are copied to one place.
struct Learner {
  Tensor weight, images, labels, loss;
  std::unique_ptr<Optimizer> optimizer;

  Learner(Device device, bool adamw) {
    weight = cast(Tensor::arange(20), DType::f32);
    weight = affine(reshape(weight, {4, 5}), {.scale = 0.01}).to(device);
    weight.set_requires_grad();
    images = Tensor::zeros({6, 5}, {.device = device});
    labels = Tensor::zeros({6}, {.dtype = DType::i64, .device = device});
    loss = Tensor::zeros({}, {.device = device});
    const StateDict parameters = {{"weight", weight}};
    if (adamw)
      optimizer = std::make_unique<AdamW>(parameters);
    else
      optimizer = std::make_unique<Sgd>(parameters, SgdOptions{.momentum = 0.9, .nesterov = true});
  }

  void load(int step) {
    std::vector<float> values(30);
    std::vector<int64_t> classes(6);
    for (int i = 0; i < 30; ++i) values[i] = static_cast<float>((i * 7 + step * 5) % 11) / 11;
    for (int i = 0; i < 6; ++i) classes[i] = (i + step) % 4;
    copy_into(Tensor::from(values, {6, 5}).to(images.device()), images);
    copy_into(Tensor::from(classes, {6}).to(images.device()), labels);
  }

  void step(double lr) {
    const Tensor value = cross_entropy(linear(images, weight, {}), labels);
    optimizer->zero_grad();
    value.backward();
    optimizer->step(lr);
    copy_into(value.detach(), loss);
  }
};

double rate(int step) { return 0.1 / (1 + step); }

}  // namespace

TEST_CASE("step graph: a replayed step gives the bits of the step itself, with a new rate and batch each time") {
  DEVICE_OR_SKIP(device);
  for (const bool adamw : {false, true}) {
    Learner plain(device, adamw), recorded(device, adamw);
    StepGraph graph(device);
    for (int i = 0; i < 7; ++i) {
      // Before the plain step, which would leave this step's rate where the replayed one finds it.
      recorded.load(i);
      graph.run([&] { recorded.step(rate(i)); }, [&] { recorded.optimizer->prepare_replay(rate(i)); });
      CHECK(graph.recorded() == (i >= 2));
      plain.load(i);
      plain.step(rate(i));
      CHECK(recorded.loss.item() == plain.loss.item());
      CHECK(recorded.weight.to<float>() == plain.weight.to<float>());
      // What others allocate and write between two replays doesn't touch the recording's memory.
      const Tensor other = Tensor::full({4, 5}, 7, {.device = device});
      CHECK(other.to<float>()[3] == 7);
    }
    graph.reset();
    CHECK(!graph.recorded());
    recorded.load(7);
    graph.run([&] { recorded.step(0.01); });
    plain.load(7);
    plain.step(0.01);
    CHECK(recorded.weight.to<float>() == plain.weight.to<float>());
  }
}

TEST_CASE("step graph: a recording that failed leaves no learning rate to the next one") {
  DEVICE_OR_SKIP(device);
  Learner plain(device, false), recorded(device, false);
  StepGraph graph(device);
  const auto fails = [&] {
    recorded.step(7);
    recorded.loss.item();
  };
  for (int i = 0; i < 4; ++i) {
    recorded.load(i);
    if (i == 2) CHECK(contains(error_of([&] { graph.run(fails); }), "waits for the device"));
    graph.run([&] { recorded.step(rate(i)); }, [&] { recorded.optimizer->prepare_replay(rate(i)); });
    plain.load(i);
    plain.step(rate(i));
    CHECK(recorded.weight.to<float>() == plain.weight.to<float>());
  }
}

TEST_CASE("step graph: replayed steps of a RIDE model leave the bits of the steps themselves") {
  DEVICE_OR_SKIP(device);
  const Deterministic same;
  for (const DType precision : {DType::f32, DType::bf16}) {
    Training plain(device, {.precision = precision, .experts = 2}),
        recorded(device, {.precision = precision, .experts = 2});
    const Tensor images = recorded.images(0), labels = recorded.labels(), loss = Tensor::zeros({}, {.device = device});
    std::vector<double> losses;
    StepGraph graph(device);
    for (int i = 0; i < 5; ++i) {
      losses.push_back(plain.step(plain.images(i), plain.labels()));
      copy_into(plain.images(i), images);
      graph.run([&] { copy_into(recorded.step_without_wait(images, labels), loss); },
                [&] { recorded.prepare_replay(); });
      CHECK(graph.recorded() == (i >= 2));
      CHECK(loss.item() == losses.back());
      CHECK(same_bits(recorded.checkpoint().model, plain.checkpoint().model));  // weights, running statistics
      CHECK(same_bits(recorded.checkpoint().optimizer, plain.checkpoint().optimizer));
    }
    CHECK(losses[3] != losses[4]);
  }
}

TEST_CASE("step graph: dropout in a replayed step draws what the step itself would, and leaves the generator there") {
  DEVICE_OR_SKIP(device);
  const auto draw = [&](const std::function<void(const std::function<void()>&)>& run) {
    const Tensor x = Tensor::full({5, 7}, 1, {.device = device}), y = empty_like(x);
    manual_seed(3);
    std::vector<std::vector<float>> drawn;
    for (int i = 0; i < 6; ++i) {
      run([&] { copy_into(dropout(dropout(x, {.p = 0.2}), {.p = 0.3}), y); });
      drawn.push_back(y.to<float>());
      default_generator().next();  // others draw in between
    }
    drawn.push_back({default_generator().uniform()});
    return drawn;
  };
  StepGraph graph(device);
  const auto plain = draw([](const auto& step) { step(); });
  CHECK(draw([&](const auto& step) { graph.run(step); }) == plain);
  in_every_order([&] {
    StepGraph again(device);
    CHECK(draw([&](const auto& step) { again.run(step); }) == plain);
  });
  CHECK(plain[4] != plain[5]);
  REQUIRE(graph.recorded());
  manual_seed(4);
  CHECK(contains(error_of([&] { graph.run([] {}); }), "seeded anew (with 4)"));
}

TEST_CASE("step graph: a step that waits for the device or copies from the host can't be recorded, and says so") {
  DEVICE_OR_SKIP(device);
  const Tensor x = Tensor::zeros({3}, {.device = device}), host = Tensor::zeros({3});
  const auto record = [&](const std::function<void()>& step) {
    StepGraph graph(device);
    for (int i = 0; i < 2; ++i) graph.run(step);
    return error_of([&] { graph.run(step); });
  };
  CHECK(contains(record([&] { (x + x).to<float>(); }), "waits for the device"));
  CHECK(contains(record([&] { copy_into(host.to(device), x); }), "copies from the host"));
  // The device works on afterwards.
  CHECK((x + x).to<float>() == std::vector<float>(3, 0));
}

TEST_CASE("step graph: on the CPU a step simply runs") {
  Learner plain({}, false), recorded({}, false);
  StepGraph graph(Device{});
  for (int i = 0; i < 4; ++i) {
    plain.load(i);
    plain.step(rate(i));
    recorded.load(i);
    graph.run([&] { recorded.step(rate(i)); }, [] { FAIL("nothing is replayed"); });
    CHECK(!graph.recorded());
    CHECK(recorded.weight.to<float>() == plain.weight.to<float>());
  }
}
