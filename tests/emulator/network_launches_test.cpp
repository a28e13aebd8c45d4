// Every launch of the networks that recipes train, at full size on a device with an H100's multiprocessors: planned by
// the back end's own host code, checked, and not run. A program of its own (planning.h).
#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <set>

#include "engine/autograd/autocast.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/index.h"
#include "engine/ops/norm.h"
#include "engine/ops/pool.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "engine/ops/softmax.h"
#include "engine/optim/adamw.h"
#include "engine/optim/sgd.h"
#include "ride/losses/from_recipe.h"
#include "ride/models/resnet.h"
#include "ride/models/resnet_cifar.h"
#include "tests/emulator/launch_checks.h"
#include "tests/emulator/planned_device.h"

using namespace engine;
using namespace engine::test;

namespace {

// How often f launches each op; fails for what is wrong with a launch, under `what`.
std::map<std::string, int> launches_of(const std::string& what, const std::function<void()>& f) {
  std::map<std::string, int> ops;
  std::set<std::string> complaints;
  see_launches(f, [&](const emulator::Launch& launch) {
    ++ops[launch.op];
    if (const std::string text = complaint(launch); !text.empty()) complaints.insert(text);
  });
  for (const std::string& text : complaints) FAIL_CHECK(what << ": " << text);
  return ops;
}

struct Network {
  std::string name;
  std::shared_ptr<Module> module;
  std::function<std::vector<Tensor>(const Tensor& images)> logits;
  int64_t classes, image_size;
};

Network ride_3(MemoryFormat format) {
  const auto model = std::make_shared<ride::ResNetCifar>(
      ride::ResNetCifarOptions{.experts = 3, .reduce_dimension = true, .format = format});
  return {"RIDE-3", model, [=](const Tensor& x) { return model->forward(x).logits; }, 100, 32};
}

Network large(const std::string& name) {
  const auto model = std::make_shared<ride::ResNet>(ride::resnet_named(name));
  return {name, model, [=](const Tensor& x) { return std::vector{model->forward(x)}; }, 1000, 224};
}

Tensor images_for(const Network& network, int64_t batch, MemoryFormat format) {
  return Tensor::empty({batch, 3, network.image_size, network.image_size},
                       {.device = planned_device(), .format = format});
}

// As ride-train's.
void train_step(const Network& network, int64_t batch, DType precision, MemoryFormat format) {
  ride::Recipe recipe;
  recipe.loss.reweight_epoch = -1;
  ride::RideLoss criterion =
      ride::training_loss(recipe.loss, std::vector<int64_t>(static_cast<std::size_t>(network.classes), 100));
  Sgd sgd(network.module->named_parameters(), {.momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});
  network.module->train();
  const Tensor labels = Tensor::empty({batch}, {.dtype = DType::i64, .device = planned_device()});
  const Autocast autocast(precision);
  const ride::LossValue loss = criterion(network.logits(images_for(network, batch, format)), labels);
  sgd.zero_grad();
  loss.total.backward();
  sgd.step(0.1);
}

void infer(const Network& network, int64_t batch, DType precision, MemoryFormat format) {
  network.module->eval();
  const InferenceMode inference;
  const Autocast autocast(precision);
  network.logits(images_for(network, batch, format));
}

void check_network(const Network& network, MemoryFormat format, const std::vector<const char*>& expected) {
  network.module->to(planned_device());
  for (const DType precision : {DType::f32, DType::bf16}) {
    const std::string what = fmt::format("{}, {}, {}", network.name, name(precision), name(format));
    for (const int64_t batch : {128, 256}) {
      const auto ops = launches_of(fmt::format("{}, training {}", what, batch),
                                   [&] { train_step(network, batch, precision, format); });
      for (const char* op : expected) CHECK_MESSAGE(ops.contains(op), what, " launches no ", std::string(op));
    }
    for (const int64_t batch : {1, 250, 256})
      launches_of(fmt::format("{}, inference of {}", what, batch), [&] { infer(network, batch, precision, format); });
  }
}

constexpr MemoryFormat formats[] = {MemoryFormat::channels_last, MemoryFormat::contiguous};

}  // namespace

TEST_CASE("every launch of RIDE-3, training and inference") {
  for (const MemoryFormat format : formats)
    check_network(ride_3(format), format,
                  {"batch_norm statistics", "batch_norm", "batch_norm backward", "global_avg_pool2d", "subsample2d",
                   "subsample2d backward", "cross_entropy", "cross_entropy backward", "sum", "sgd"});
}

TEST_CASE("every launch of ResNet-50 and ResNeXt-50, training and inference") {
  for (const char* name : {"resnet50", "resnext50"})
    for (const MemoryFormat format : formats)
      check_network(large(name), format,
                    {"batch_norm statistics", "batch_norm", "batch_norm backward", "max_pool2d", "max_pool2d backward",
                     "global_avg_pool2d", "cross_entropy", "cross_entropy backward", "sgd"});
}

// 2^32 elements: no position fits 32 bits with a sign, and most fit none.
TEST_CASE("every family on tensors of more than 2^31 elements") {
  const Shape shape{256, 64, 512, 512};
  for (const MemoryFormat format : formats)
    for (const DType dtype : {DType::f32, DType::bf16}) {
      const TensorOptions options{.dtype = dtype, .device = planned_device(), .format = format};
      const auto ops = launches_of(fmt::format("{} in {}", name(dtype), name(format)), [&] {
        Tensor x = Tensor::empty(shape, options), other = Tensor::empty(shape, options);
        x.set_requires_grad();
        const Tensor one = Tensor::empty({64}, {.device = planned_device()}),
                     two = Tensor::empty({64}, {.device = planned_device()});
        const auto back = [](const Tensor& y) { y.backward(Tensor::empty(y.shape(), y.options())); };
        back(relu(x));
        back(x + other);
        back(x * unsqueeze(unsqueeze(cast(one, dtype), 1), 2));
        back(batch_norm(x, one, two, clone(one), clone(two), {.residual = other, .relu = true}));
        back(max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1}));
        back(avg_pool2d(x, {.kernel = 2, .stride = 2}));
        back(global_avg_pool2d(x));
        back(subsample2d(x, {.stride = 2, .channels_before = 8, .channels_after = 8}));
        back(sum(x, {.axes = {0, 2, 3}}));
        back(sum(x));
        back(softmax(x, 3));
        back(dropout(x, {.p = 0.5}));
        contiguous(x, format == MemoryFormat::contiguous ? MemoryFormat::channels_last : MemoryFormat::contiguous);
        cast(x, dtype == DType::f32 ? DType::bf16 : DType::f32);
        index_select(x.detach(), 0, Tensor::empty({256}, {.dtype = DType::i64, .device = planned_device()}));
        argmax(x, 1);
      });
      CHECK(ops.size() >= 20);
    }
}

TEST_CASE("optimizers over parameters of more than 2^31 elements") {
  Tensor parameter = Tensor::empty({int64_t{1} << 32}, {.device = planned_device()});
  parameter.set_requires_grad();
  parameter.set_grad(Tensor::empty({int64_t{1} << 32}, {.device = planned_device()}));
  const auto ops = launches_of("parameters", [&] {
    Sgd({{"p", parameter}}, {.momentum = 0.9}).step(0.1);
    AdamW({{"p", parameter}}, {}).step(0.1);
  });
  CHECK(ops.contains("sgd"));
  CHECK(ops.contains("adamw"));
}
