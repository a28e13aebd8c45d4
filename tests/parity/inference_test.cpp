// A trained network's answers on the device, beside the CPU's.
#include "engine/autograd/autocast.h"
#include "engine/core/parallel.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "ride/metrics/meter.h"
#include "ride/routing/cascade.h"
#include "tests/distance.h"
#include "tests/parity/parity.h"
#include "tests/parity/training.h"

using namespace engine;
using namespace engine::test;

namespace {

// A network that has taken some steps on the CPU, so that its statistics are those of images; the same one twice.
struct Trained {
  explicit Trained(Device device) : here(Device{}), there(device) {
    for (int i = 0; i < 2; ++i) here.step();
    there.resume(here.checkpoint());
    here.model().eval();
    there.model().eval();
  }
  Training here, there;
};

std::vector<Tensor> logits_of(Training& training, DType precision) {
  const Autocast autocast(precision);
  return training.model().forward(training.images(8)).logits;
}

}  // namespace

TEST_CASE("parity: evaluation, layer by layer and with batch norm folded") {
  DEVICE_OR_SKIP(device);
  Trained trained(device);
  // f32: some twenty layers of sums in another order. bf16: each of these layers rounds to 2^-9 on either side.
  for (const auto& [precision, allowed] : {std::pair{DType::f32, 2e-5}, {DType::bf16, 0.05}}) {
    std::vector<Tensor> wanted, got, folded;
    {
      const NoGradGuard no_grad;
      wanted = logits_of(trained.here, precision);
      got = logits_of(trained.there, precision);
    }
    {
      // The back end's own threads are its device's: the engine's must not cut a batch that lies there.
      const InferenceMode inference;
      const int threads = num_threads();
      set_num_threads(2);
      folded = logits_of(trained.there, precision);
      set_num_threads(threads);
    }
    for (std::size_t e = 0; e < wanted.size(); ++e) {
      CHECK(got[e].device() == device);
      CHECK(relative_distance(got[e], wanted[e]) <= allowed);
      CHECK(relative_distance(folded[e], wanted[e]) <= allowed);
    }
  }
}

TEST_CASE("parity: the cascade sends the same images on") {
  DEVICE_OR_SKIP(device);
  Trained trained(device);
  const auto assignment_on = [](Device where) {
    Generator random(5);
    auto assignment = std::make_unique<ride::ExpertAssignment>(
        ride::ExpertAssignmentOptions{.experts = 3, .features = 48, .classes = 10}, random);
    assignment->eval();
    assignment->to(where);
    return assignment;
  };
  const auto here = assignment_on({}), there = assignment_on(device);

  // A threshold halfway between two images' probabilities, so that rounding moves none across.
  std::vector<double> p;
  {
    const NoGradGuard no_grad;
    ride::ResNetCifar& model = trained.here.model();
    const Tensor features = model.features(0, model.shared(trained.here.images(8)));
    p = sigmoid((*here)(0, features, model.classify(0, features))).to<double>();
  }
  std::ranges::sort(p);
  const ride::CascadeOptions options{.threshold = (p[p.size() / 2 - 1] + p[p.size() / 2]) / 2};
  const auto wanted =
      ride::cascade(ride::cascade_network(trained.here.model()), *here, trained.here.images(8), options);
  const auto got =
      ride::cascade(ride::cascade_network(trained.there.model()), *there, trained.there.images(8), options);
  CHECK(got.experts_used.to<int64_t>() == wanted.experts_used.to<int64_t>());
  CHECK(relative_distance(got.logits, wanted.logits) <= 2e-5);

  ride::Cascade batches(ride::cascade_network(trained.there.model()), *there, options);
  for (int i = 0; i < 2; ++i) {
    const auto batch = batches(trained.there.images(8));
    CHECK(batch.experts_used.to<int64_t>() == wanted.experts_used.to<int64_t>());
    CHECK(relative_distance(batch.logits, wanted.logits) <= 2e-5);
  }

  ride::Meter meter_here(ride::ClassCounts(10, 100)), meter_there(ride::ClassCounts(10, 100));
  meter_here.add(wanted.logits, trained.here.labels(), wanted.experts_used);
  meter_there.add(got.logits, trained.there.labels(), got.experts_used);
  CHECK(meter_here.result().accuracy == meter_there.result().accuracy);
  CHECK(meter_here.result().experts_used == meter_there.result().experts_used);
}
