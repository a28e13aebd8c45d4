// Optimizer updates in the emulator beside the CPU's, and steps that are recorded once and replayed.
#include "engine/cuda/recording.h"
#include "engine/cuda/step_scalars.h"
#include "tests/emulator/support.h"
#include "tests/error_of.h"

using namespace engine;
using namespace engine::test;

namespace {

constexpr SgdUpdate sgd_update{.lr = 0.1, .momentum = 0.9, .weight_decay = 5e-4, .nesterov = false};
constexpr AdamWUpdate adamw_update{
    .lr = 0.01, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.01, .step = 1};

// The same tensors on the CPU and on the device.
struct Twins {
  std::vector<Tensor> host, device;

  void add(const Tensor& x) {
    host.push_back(x);
    device.push_back(x.to(open_device("cuda")));
  }
};

// Parameters of several sizes: nothing, one, odd, several chunks; one not aligned, one in channels_last.
std::vector<Tensor> parameters(DType dtype, uint64_t seed) {
  std::vector<Tensor> out;
  for (const Shape& shape : {Shape{1}, Shape{0}, Shape{33}, Shape{64, 3}, Shape{5000}})
    out.push_back(random_tensor(shape, dtype, seed++));
  out.push_back(random_tensor({20}, dtype, seed++).as_strided({18}, {1}, 1));
  out.push_back(Tensor::empty({3, 5, 2, 2}, {.dtype = dtype, .format = MemoryFormat::channels_last}));
  kernels(Device{}).elementwise.copy(random_tensor({3, 5, 2, 2}, dtype, seed), out.back());
  return out;
}

struct State {
  Twins parameter, gradient, first, second;

  explicit State(const std::vector<DType>& types) {
    for (const DType dtype : types)
      for (const Tensor& p : parameters(dtype, 1)) {
        parameter.add(p);
        gradient.add(random_tensor(p.shape(), dtype, 7));  // row-major beside channels_last too
        for (Twins* state : {&first, &second}) state->add(Tensor::zeros(p.shape(), p.options()));
      }
  }
  std::vector<SgdItem> sgd(bool device) const {
    std::vector<SgdItem> out;
    for (std::size_t i = 0; i < parameter.host.size(); ++i)
      out.push_back(device ? SgdItem{parameter.device[i], gradient.device[i], first.device[i]}
                           : SgdItem{parameter.host[i], gradient.host[i], first.host[i]});
    return out;
  }
  std::vector<AdamWItem> adamw(bool device) const {
    std::vector<AdamWItem> out;
    for (std::size_t i = 0; i < parameter.host.size(); ++i)
      out.push_back(device ? AdamWItem{parameter.device[i], gradient.device[i], first.device[i], second.device[i]}
                           : AdamWItem{parameter.host[i], gradient.host[i], first.host[i], second.host[i]});
    return out;
  }
  void check_alike() const {
    for (const Twins* twins : {&parameter, &first, &second})
      for (std::size_t i = 0; i < twins->host.size(); ++i) {
        CAPTURE(twins->host[i].str());
        CHECK(relative_distance(twins->device[i], twins->host[i]) <= rounding(twins->host[i].dtype()));
      }
  }
};

}  // namespace

TEST_CASE("sgd over all parameters") {
  in_every_order([] {
    for (const bool nesterov : {false, true}) {
      const State state({DType::f32, DType::f64});
      SgdUpdate update = sgd_update;
      update.nesterov = nesterov;
      for (int step = 0; step < 3; ++step, update.lr /= 2) {
        kernels(Device{}).optim.sgd(state.sgd(false), update);
        kernels(open_device("cuda")).optim.sgd(state.sgd(true), update);
      }
      state.check_alike();
    }
  });
}

TEST_CASE("adamw over all parameters") {
  in_every_order([] {
    const State state({DType::f64, DType::f32});
    AdamWUpdate update = adamw_update;
    for (; update.step <= 3; ++update.step) {
      kernels(Device{}).optim.adamw(state.adamw(false), update);
      kernels(open_device("cuda")).optim.adamw(state.adamw(true), update);
    }
    state.check_alike();
  });
}

TEST_CASE("more parameters than one launch takes") {
  const Device device = open_device("cuda");
  constexpr int64_t count = 1500;
  const Tensor p = random_tensor({count, 3}, DType::f32), g = random_tensor({count, 3}, DType::f32, 2);
  const Tensor v = Tensor::zeros({count, 3}), p_there = p.to(device), g_there = g.to(device), v_there = v.to(device);
  std::vector<SgdItem> here, there;
  for (int64_t i = 0; i < count; ++i) {
    const auto row = [i](const Tensor& x) { return x.as_strided({3}, {1}, 3 * i); };
    here.push_back({row(p), row(g), row(v)});
    there.push_back({row(p_there), row(g_there), row(v_there)});
  }
  kernels(Device{}).optim.sgd(here, sgd_update);
  kernels(device).optim.sgd(there, sgd_update);
  CHECK(relative_distance(p_there, p) <= rounding(DType::f32));
}

TEST_CASE("parameters of other types are refused") {
  const Tensor x = random_tensor({3}, DType::bf16).to(open_device("cuda"));
  CHECK(contains(error_of([&] {
                   kernels(x).optim.sgd({{x, x, x}}, sgd_update);
                 }),
                 "[sgd] parameters must be f32 or f64, got bf16"));
}

TEST_CASE("a recorded update is replayed with other learning rates and step counts") {
  const State state({DType::f32});
  cuda::Context& c = cuda::context(0);
  const auto here = state.adamw(false), there = state.adamw(true);
  AdamWUpdate update = adamw_update;
  kernels(Device{}).optim.adamw(here, update);
  kernels(open_device("cuda")).optim.adamw(there, update);

  const auto recording = cuda::record(0, [&] { kernels(open_device("cuda")).optim.adamw(there, update); });
  for (int replay = 0; replay < 3; ++replay) {
    ++update.step;
    update.lr /= 3;
    kernels(Device{}).optim.adamw(here, update);
    cuda::write_step_scalars(c, update.lr, update.step);
    recording->replay();
  }
  state.check_alike();
}

TEST_CASE("a recorded step has one learning rate") {
  const State state({DType::f32});
  const auto items = state.sgd(true);
  const auto step = [&](double lr) {
    SgdUpdate update = sgd_update;
    update.lr = lr;
    kernels(open_device("cuda")).optim.sgd(items, update);
  };
  step(0.1);
  step(0.2);
  cuda::record(0, [&] {
    step(0.1);
    step(0.1);
  });
  const auto two_rates = [&] {
    step(0.1);
    step(0.2);
  };
  CHECK(
      contains(error_of([&] { cuda::record(0, two_rates); }),
               "[sgd] a recorded step has one learning rate and one step count, but 0.1 at step 0 is followed by 0.2"));
}
