#include "tests/parity/training.h"

#include "engine/autograd/autocast.h"
#include "engine/ops/shape_ops.h"

namespace engine::test {
namespace {

constexpr int64_t batch = 8, size = 8, classes = 10;
constexpr double rate = 0.0005;
const ride::ClassCounts counts = {50, 40, 30, 25, 20, 15, 10, 8, 6, 5};

}  // namespace

Training::Training(Device device, const TrainingOptions& options)
    : device_(device),
      options_(options),
      model_({.classes = classes, .experts = options.experts, .reduce_dimension = true, .format = options.format},
             random_),
      criterion_(std::make_unique<ride::LdamLoss>(counts, ride::LdamOptions{.reweighting = {.reweight_epoch = 0}}),
                 counts, {.collaborative = 0.1, .reweight_epoch = 0}) {
  model_.to(device_);
  optimizer_ = std::make_unique<Sgd>(model_.named_parameters(),
                                     SgdOptions{.momentum = 0.9, .weight_decay = 5e-4, .nesterov = true});
}

Tensor Training::images(uint64_t seed) const {
  Generator random(seed);
  std::vector<float> values(batch * 3 * size * size);
  for (float& value : values) value = random.normal();
  return contiguous(Tensor::from(values, {batch, 3, size, size}), options_.format).to(device_);
}

Tensor Training::labels() const {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < batch; ++i) values.push_back(3 * i % classes);
  return Tensor::from(values, {batch}).to(device_);
}

double Training::step() { return step(images(7), labels()); }

double Training::step(const Tensor& images, const Tensor& labels) { return step_without_wait(images, labels).item(); }

Tensor Training::step_without_wait(const Tensor& images, const Tensor& labels) {
  const Autocast autocast(options_.precision);
  const ride::LossValue loss = criterion_(model_.forward(images).logits, labels);
  optimizer_->zero_grad();
  loss.total.backward();
  optimizer_->step(rate);
  ++steps_;
  return loss.total.detach();
}

void Training::prepare_replay() {
  optimizer_->prepare_replay(rate);
  ++steps_;
}

Checkpoint Training::checkpoint() const {
  return {.model = model_.state_dict(),
          .optimizer = optimizer_->state_dict(),
          .metadata = {{"steps", std::to_string(steps_)}}};
}

void Training::resume(const Checkpoint& checkpoint) {
  load_state(checkpoint.model, model_.state_dict());
  load_state(checkpoint.optimizer, optimizer_->state_dict());
  steps_ = checkpoint.integer("steps");
}

bool same_bits(const StateDict& a, const StateDict& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = a[i].second.to<float>() == b[i].second.to<float>();
  return same;
}

}  // namespace engine::test
