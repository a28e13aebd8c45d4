#include "ride/routing/cascade.h"

#include <numeric>

#include "engine/autograd/grad_mode.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/index.h"
#include "engine/ops/shape_ops.h"

namespace ride {
namespace {

using engine::Tensor;

Tensor index_on(engine::Device device, const std::vector<int64_t>& index) {
  return Tensor::from(index, {static_cast<int64_t>(index.size())}).to(device);
}

// Answers of samples in the order in which they stop, put back into the order of the batch at the end.
struct Stopped {
  std::vector<Tensor> logits;
  std::vector<int64_t> samples;       // row in the batch of each stopped sample
  std::vector<int64_t> experts_used;  // by row in the batch

  void add(const Tensor& mean, const std::vector<int64_t>& rows, int64_t experts) {
    logits.push_back(mean);
    for (const int64_t row : rows) {
      samples.push_back(row);
      experts_used[row] = experts;
    }
  }
  CascadeResult in_batch_order() const {
    std::vector<int64_t> position(samples.size());
    for (std::size_t i = 0; i < samples.size(); ++i) position[samples[i]] = static_cast<int64_t>(i);
    return {engine::index_select(engine::concat(logits, 0), 0, index_on(logits[0].device(), position)),
            index_on({}, experts_used)};
  }
};

// Rows (of the compacted batch) that go on and rows that stop.
struct Decision {
  std::vector<int64_t> on, stop;
};

Decision decide(const Tensor& assignment, const CascadeOptions& options) {
  const std::vector<float> probability = engine::sigmoid(assignment).to<float>();
  const float threshold = static_cast<float>(options.threshold);
  Decision decision;
  for (std::size_t i = 0; i < probability.size(); ++i) {
    const bool on = options.variant == Variant::reference ? probability[i] > threshold : probability[i] >= threshold;
    (on ? decision.on : decision.stop).push_back(static_cast<int64_t>(i));
  }
  return decision;
}

std::vector<int64_t> rows_of(const std::vector<int64_t>& alive, const std::vector<int64_t>& chosen) {
  std::vector<int64_t> rows;
  for (const int64_t i : chosen) rows.push_back(alive[i]);
  return rows;
}

}  // namespace

CascadeResult cascade(const CascadeNetwork& network, const ExpertAssignment& assignment, const Tensor& images,
                      const CascadeOptions& options) {
  const engine::NoGradGuard no_grad;
  const int64_t experts = assignment.options().experts;

  std::vector<int64_t> alive(images.size(0));  // rows of the batch still under way
  std::iota(alive.begin(), alive.end(), 0);
  Stopped stopped{.logits = {}, .samples = {}, .experts_used = std::vector<int64_t>(alive.size())};

  Tensor shared = network.shared(images);
  Tensor features = network.features(0, shared);
  Tensor own = network.classify(0, features);
  Tensor sum = own;  // over the experts so far, rows as in `alive`
  for (int64_t next = 1;; ++next) {
    const Tensor mean = next == 1 ? sum : sum / static_cast<double>(next);
    if (next == experts || alive.empty()) {
      stopped.add(mean, alive, next);
      return stopped.in_batch_order();
    }
    const bool reference = options.variant == Variant::reference;
    const Decision decision = decide(assignment(next - 1, features, reference ? mean : own), options);
    if (!decision.stop.empty()) {
      stopped.add(engine::index_select(mean, 0, index_on(mean.device(), decision.stop)), rows_of(alive, decision.stop),
                  next);
      if (decision.on.empty()) return stopped.in_batch_order();
      const Tensor on = index_on(sum.device(), decision.on);
      shared = engine::index_select(shared, 0, on);
      sum = engine::index_select(sum, 0, on);
      alive = rows_of(alive, decision.on);
    }
    features = network.features(next, shared);
    own = network.classify(next, features);
    sum = sum + own;
  }
}

}  // namespace ride
