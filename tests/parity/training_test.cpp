// Whole training steps on the device, beside the CPU; the same bits twice; and runs that change the device.
#include "tests/parity/training.h"

#include <cmath>
#include <fstream>
#include <iterator>

#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "engine/optim/adamw.h"
#include "engine/optim/clip.h"
#include "tests/distance.h"
#include "tests/parity/parity.h"
#include "tests/temporary_folder.h"

using namespace engine;
using namespace engine::test;

namespace {

// What two runs may be apart. Rounding alone takes the f32 logits, which are scaled by 30, 1e-6 of the first loss away,
// bf16's 2e-3. A value that falls on the other side of a ReLU moves the gradients of its channel, and those of bf16
// after many layers share little more than their direction; one batch repeated at a low rate keeps the losses together
// for all that. Measured between two memory formats on the CPU over 50 steps: f32 0.0023 of the first loss, with 0.0036
// of the first step's length; bf16 0.006 and 0.3.
struct Apart {
  double first_loss, losses;  // of the first loss
  double first_step;          // of its length
};
constexpr Apart full_apart{1e-5, 0.01, 0.02}, mixed_apart{0.01, 0.03, 0.5};

std::vector<double> losses_of(Training& training, int steps) {
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) losses.push_back(training.step());
  return losses;
}

void check_losses(const std::vector<double>& got, const std::vector<double>& wanted, const Apart& apart) {
  for (std::size_t i = 0; i < wanted.size(); ++i)
    CHECK_MESSAGE(std::abs(got[i] - wanted[i]) <= (i == 0 ? apart.first_loss : apart.losses) * std::abs(wanted[0]),
                  "step ", i, ": ", got[i], ", on the CPU ", wanted[i]);
}

std::vector<double> parameters_of(Training& training) {
  std::vector<double> all;
  for (const Tensor& parameter : training.model().parameters()) {
    const std::vector<double> values = parameter.to<double>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// |got - wanted| as a share of how far `wanted` is from `start`.
double distance_of_steps(const std::vector<double>& start, const std::vector<double>& got,
                         const std::vector<double>& wanted) {
  double between = 0, moved = 0;
  for (std::size_t i = 0; i < start.size(); ++i) {
    between += (got[i] - wanted[i]) * (got[i] - wanted[i]);
    moved += (wanted[i] - start[i]) * (wanted[i] - start[i]);
  }
  return std::sqrt(between / moved);
}

void check_training(Device device, const TrainingOptions& options, const Apart& apart) {
  Training here({}, options), there(device, options);
  const std::vector<double> start = parameters_of(here);
  std::vector<double> wanted = losses_of(here, 1), got = losses_of(there, 1);
  const double distance = distance_of_steps(start, parameters_of(there), parameters_of(here));
  CHECK_MESSAGE(distance <= apart.first_step, "after the first step: ", distance, ", allowed ", apart.first_step);
  for (int step = 1; step < training_steps(); ++step) {
    wanted.push_back(here.step());
    got.push_back(there.step());
  }
  check_losses(got, wanted, apart);
  CHECK(wanted.back() < 0.8 * wanted.front());
  for (const auto& [name, tensor] : there.model().state_dict()) {
    CHECK_MESSAGE(tensor.dtype() == DType::f32, name);
    CHECK_MESSAGE(tensor.device() == device, name);
  }
}

void check_close(const StateDict& got, const StateDict& wanted, double allowed) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double distance = relative_distance(got[i].second, wanted[i].second);
    CHECK_MESSAGE(distance <= allowed, wanted[i].first, " is off by ", distance, ", allowed ", allowed);
  }
}

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A few tensors with gradients, as an optimizer sees them: of odd sizes, one of them in channels_last.
StateDict parameters_on(Device device) {
  Case c{"optimizers", {{{1}}, {{33}}, {{5, 7}}, {{6, 5, 3, 3}}, {{2, 1025}}}, {}, 0};
  StateDict out;
  for (const Tensor& x : make_inputs(c, DType::f32)) {
    Tensor parameter = (x.rank() == 4 ? layouts()[2].arrange(x) : x).to(device);
    parameter.set_requires_grad();
    out.emplace_back(fmt::format("p{}", out.size()), parameter);
  }
  return out;
}

// Steps with gradients that are the parameters themselves, scaled.
template <class Optimizer, class Options>
StateDict stepped(Device device, const Options& options) {
  const StateDict parameters = parameters_on(device);
  Optimizer optimizer(parameters, options);
  std::vector<Tensor> tensors;
  for (const auto& [name, parameter] : parameters) tensors.push_back(parameter);
  for (int step = 0; step < 3; ++step) {
    for (const Tensor& parameter : tensors)
      parameter.set_grad(clone(affine(parameter.detach(), {.scale = 0.3, .shift = 0.1})));
    clip_grad_norm(tensors, 5);
    optimizer.step(0.1);
  }
  StateDict out = parameters;
  for (const auto& state : optimizer.state_dict()) out.push_back(state);
  return out;
}

}  // namespace

TEST_CASE("parity: SGD and AdamW over many tensors") {
  DEVICE_OR_SKIP(device);
  // A handful of roundings at each of three steps.
  for (const SgdOptions& options : {SgdOptions{}, SgdOptions{.momentum = 0.9, .weight_decay = 0.01},
                                    SgdOptions{.momentum = 0.9, .weight_decay = 0.01, .nesterov = true}})
    check_close(stepped<Sgd>(device, options), stepped<Sgd>({}, options), 2e-6);
  check_close(stepped<AdamW>(device, AdamWOptions{}), stepped<AdamW>({}, AdamWOptions{}), 2e-6);
}

TEST_CASE("parity: training RIDE-3 in f32") {
  DEVICE_OR_SKIP(device);
  check_training(device, {}, full_apart);
}

TEST_CASE("parity: training RIDE-3 in bf16") {
  DEVICE_OR_SKIP(device);
  check_training(device, {.precision = DType::bf16}, mixed_apart);
}

TEST_CASE("parity: the same steps give the same bits") {
  DEVICE_OR_SKIP(device);
  const Deterministic same;
  for (const DType precision : {DType::f32, DType::bf16}) {
    Training first(device, {.precision = precision}), second(device, {.precision = precision});
    CHECK(losses_of(first, 2) == losses_of(second, 2));
    CHECK(same_bits(first.model().state_dict(), second.model().state_dict()));
  }
}

TEST_CASE("parity: a checkpoint is the same file from either device") {
  DEVICE_OR_SKIP(device);
  const TemporaryFolder folder;
  Training here({});
  here.step();
  Training there(device);
  there.resume(here.checkpoint());
  save_checkpoint(folder / "cpu", here.checkpoint());
  save_checkpoint(folder / "device", there.checkpoint());
  CHECK(bytes_of(folder / "cpu").size() > 1000000);
  CHECK((bytes_of(folder / "cpu") == bytes_of(folder / "device")));
}

TEST_CASE("parity: a run goes on, on the other device") {
  DEVICE_OR_SKIP(device);
  const TemporaryFolder folder;
  Training whole({});
  const std::vector<double> wanted = losses_of(whole, 4);
  for (const auto& [from, to] : {std::pair<Device, Device>{device, {}}, {{}, device}}) {
    Training before(from), after(to);
    std::vector<double> losses = losses_of(before, 2);
    save_checkpoint(folder / "run", before.checkpoint());
    after.resume(load_checkpoint(folder / "run"));
    CHECK(same_bits(after.checkpoint().model, before.checkpoint().model));
    CHECK(same_bits(after.checkpoint().optimizer, before.checkpoint().optimizer));
    for (const double loss : losses_of(after, 2)) losses.push_back(loss);
    check_losses(losses, wanted, full_apart);
  }
}
