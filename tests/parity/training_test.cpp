// Whole training steps on the device, beside the CPU; the same bits twice; and runs that change the device.
#include "tests/parity/training.h"

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

// Sums in another order differ by a few roundings of f32, which the logits' scale of 30 and some seventy layers take to
// 1e-5 of the loss; each step amplifies what the one before left.
constexpr double first_loss = 1e-5, later_losses = 1e-3, parameters_apart = 1e-3;

std::vector<double> losses_of(Training& training, int steps) {
  std::vector<double> losses;
  for (int i = 0; i < steps; ++i) losses.push_back(training.step());
  return losses;
}

void check_losses(const std::vector<double>& got, const std::vector<double>& wanted, double first, double later) {
  for (std::size_t i = 0; i < wanted.size(); ++i)
    CHECK_MESSAGE(std::abs(got[i] - wanted[i]) <= (i == 0 ? first : later) * std::abs(wanted[0]), "step ", i, ": ",
                  got[i], ", on the CPU ", wanted[i]);
}

void check_close(const StateDict& got, const StateDict& wanted, double allowed) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double distance = relative_distance(got[i].second, wanted[i].second);
    CHECK_MESSAGE(distance <= allowed, wanted[i].first, " is off by ", distance, ", allowed ", allowed);
  }
}

bool same_bits(const StateDict& a, const StateDict& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = a[i].second.to<float>() == b[i].second.to<float>();
  return same;
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

TEST_CASE("parity: five steps of RIDE-3 in f32") {
  DEVICE_OR_SKIP(device);
  Training here({}), there(device);
  const std::vector<double> wanted = losses_of(here, 5), got = losses_of(there, 5);
  check_losses(got, wanted, first_loss, later_losses);
  check_close(there.model().state_dict(), here.model().state_dict(), parameters_apart);
}

// The first loss differs by bf16's rounding of activations that fell to the other side, later ones by what the steps
// made of that.
TEST_CASE("parity: five steps of RIDE-3 in bf16") {
  DEVICE_OR_SKIP(device);
  const TrainingOptions mixed{.precision = DType::bf16};
  Training here({}, mixed), there(device, mixed);
  check_losses(losses_of(there, 5), losses_of(here, 5), 0.01, 0.1);
  for (const auto& [name, tensor] : there.model().state_dict()) CHECK_MESSAGE(tensor.dtype() == DType::f32, name);
}

TEST_CASE("parity: the same steps give the same bits") {
  DEVICE_OR_SKIP(device);
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
    for (const double loss : losses_of(after, 2)) losses.push_back(loss);
    check_losses(losses, wanted, first_loss, later_losses);
    check_close(after.model().state_dict(), whole.model().state_dict(), parameters_apart);
  }
}
