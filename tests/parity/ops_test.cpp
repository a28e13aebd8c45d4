// Every op of the case table on the device, beside the CPU.
#include "engine/autograd/autocast.h"
#include "engine/core/random.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/loss.h"
#include "engine/ops/matmul.h"
#include "engine/ops/shape_ops.h"
#include "tests/error_of.h"
#include "tests/parity/parity.h"

using namespace engine;
using namespace engine::test;

namespace {

template <class F>
void for_each_case(const std::vector<Case>& cases, F&& f) {
  for (const Case& c : cases)
    if (c.uses.devices) f(c);
}

void check_halves(const std::vector<Case>& cases, Device device, Kind kind) {
  for_each_case(cases, [&](const Case& c) {
    for (const DType dtype : {DType::bf16, DType::f16}) {
      kind.dtype = dtype;
      for (const Layout* layout : {static_cast<const Layout*>(nullptr), &layouts()[2]}) {
        kind.layout = layout;
        if (!layout || c.uses.layouts) check_parity(c, device, kind);
      }
    }
  });
}

}  // namespace

TEST_CASE("parity: every op in f32") {
  DEVICE_OR_SKIP(device);
  for_each_case(all_cases(), [&](const Case& c) { check_parity(c, device, {}); });
}

// The large cases are left out: the CPU's plain f64 loops would take longer than all the rest.
TEST_CASE("parity: every op in f64") {
  DEVICE_OR_SKIP(device);
  for_each_case(all_cases(), [&](const Case& c) {
    if (c.uses.gradient) check_parity(c, device, {.dtype = DType::f64});
  });
}

TEST_CASE("parity: every op on views and other layouts") {
  DEVICE_OR_SKIP(device);
  for_each_case(all_cases(), [&](const Case& c) {
    if (!c.uses.layouts) return;
    for (const Layout& layout : layouts()) check_parity(c, device, {.layout = &layout});
  });
}

TEST_CASE("parity: element-wise ops, reductions, indices and shapes in bf16 and f16") {
  DEVICE_OR_SKIP(device);
  for (const auto table : {elementwise_cases, reduce_cases, shape_cases}) check_halves(table(), device, {});
}

// What a network runs under Autocast: its sums are f32 on both sides.
TEST_CASE("parity: convolutions, products, norms and pooling in bf16 and f16, with parameters in f32") {
  DEVICE_OR_SKIP(device);
  check_halves(network_cases(), device, {.f32_parameters = true});
}

// Autocast gives losses their logits in f32.
TEST_CASE("parity: losses of bf16 and f16") {
  DEVICE_OR_SKIP(device);
  const Autocast autocast(DType::bf16);
  check_halves(loss_cases(), device, {.f32_parameters = true});
}

// On the CPU nothing is TF32. A device that had not been told would pass this too, so it must be seen to round.
TEST_CASE("parity: convolutions and products in TF32") {
  DEVICE_OR_SKIP(device);
  const auto rounds = [&] {
    const Tensor x = Tensor::full({64, 64}, 1 + 0x1p-12, {.device = device});
    return matmul(x, x).to<float>()[0] == 64;
  };
  CHECK_FALSE(rounds());
  allow_tf32(true);
  for_each_case(network_cases(), [&](const Case& c) {
    check_parity(c, device, {});
    if (c.uses.layouts) check_parity(c, device, {.layout = &layouts()[2]});
  });
  CHECK(rounds());
  allow_tf32(false);
}

TEST_CASE("parity: dropout drops the CPU's elements, in every layout") {
  DEVICE_OR_SKIP(device);
  Case c{"dropout", {{{3, 5, 7, 2}, 1, 2}}, {}, 0};
  const Tensor x = make_inputs(c, DType::f32)[0];
  std::vector<Tensor> arranged = {x};
  for (const Layout& layout : layouts()) arranged.push_back(layout.arrange(x));
  for (const Tensor& here : arranged) {
    const auto dropped = [&](const Tensor& t) {
      manual_seed(9);
      return dropout(t, {.p = 0.4}).to<float>();
    };
    CHECK(dropped(here.to(device)) == dropped(here));
  }
}

TEST_CASE("parity: a label that is no class is reported by the next wait, with its value") {
  DEVICE_OR_SKIP(device);
  const Tensor logits = Tensor::zeros({3, 10}, {.device = device});
  for (const int64_t bad : {int64_t{12}, int64_t{10}, int64_t{-1}}) {
    const Tensor labels = Tensor::from<int64_t>({1, bad, 9}, {3}).to(device);
    const std::string error = error_of([&] { cross_entropy(logits, labels).item(); });
    CHECK_MESSAGE(contains(error, fmt::format("[cross_entropy] index {} is out of range for an axis of size 10", bad)),
                  error);
    recover();
  }
  const Tensor labels = Tensor::from<int64_t>({1, 0, 9}, {3}).to(device);
  CHECK(cross_entropy(logits, labels).item() == doctest::Approx(std::log(10.0)));
}
