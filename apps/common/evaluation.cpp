#include "apps/common/evaluation.h"

#include <chrono>

#include "engine/core/profile.h"
#include "engine/kernels/select.h"
#include "engine/nn/inference_mode.h"
#include "engine/ops/loss.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"
#include "ride/expert_logits.h"

namespace apps {
namespace {

using engine::Tensor;

// Logits of one batch, from one way of running the model.
struct BatchOutput {
  Tensor logits, expert_logits, experts_used;
};

// Of the first `experts` on every image.
ride::ExpertLogits logits_of(ride::ResNetCifar& model, const Tensor& images, int64_t experts) {
  const Tensor shared = model.shared(images);
  ride::ExpertLogits logits;
  for (int64_t e = 0; e < experts; ++e) logits.push_back(model.classify(e, model.features(e, shared)));
  return logits;
}

// What both ways of evaluating take and do with a batch.
struct RunOptions {
  engine::Device device;
  bool keep_logits, profile;
};

template <class Run>
Evaluation run_all(const data::Loader& loader, const std::vector<int64_t>& counts, const RunOptions& options,
                   Run&& run) {
  const engine::InferenceMode inference;
  ride::Meter meter(counts);
  Evaluation out;
  std::vector<Tensor> logits, expert_logits, labels;
  for (const data::Batch& batch : loader.epoch(0)) {
    engine::synchronize(options.device);
    engine::profile::enable(options.profile);
    const auto start = std::chrono::steady_clock::now();
    const BatchOutput b = [&] {
      const engine::profile::Scope scope("(between ops)");
      return run(batch.images);
    }();
    engine::synchronize(options.device);
    out.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    engine::profile::enable(false);
    ++out.batches;
    meter.add(b.logits, batch.labels, b.experts_used);
    out.loss += cross_entropy(b.logits, batch.labels, {.reduction = engine::Reduction::sum}).item();
    if (!options.keep_logits) continue;
    logits.push_back(b.logits.to(engine::Device{}));
    labels.push_back(batch.labels.to(engine::Device{}));
    if (b.expert_logits.defined()) expert_logits.push_back(b.expert_logits.to(engine::Device{}));
  }
  out.metrics = meter.result();
  out.loss /= static_cast<double>(std::max<int64_t>(meter.samples(), 1));
  if (!logits.empty()) {
    out.logits = engine::concat(logits, 0);
    out.labels = engine::concat(labels, 0);
  }
  if (!expert_logits.empty()) out.expert_logits = engine::concat(expert_logits, 1);
  return out;
}

}  // namespace

Evaluation evaluate(ride::ResNetCifar& model, const data::Loader& loader, const std::vector<int64_t>& counts,
                    const EvaluateOptions& options) {
  const int64_t experts = options.experts ? options.experts : model.experts();
  engine::check(experts >= 1 && experts <= model.experts(), "evaluate", "{} experts asked, the model has {}", experts,
                model.experts());
  model.eval();
  const RunOptions common{model.device(), options.keep_logits, options.profile};
  return run_all(loader, counts, common, [&](const Tensor& images) {
    const ride::ExpertLogits logits = logits_of(model, images, experts);
    return BatchOutput{
        .logits = ride::mean_logits(logits),
        .expert_logits = options.keep_logits ? engine::stack(logits, 0) : Tensor(),
        .experts_used = Tensor::full({images.size(0)}, static_cast<double>(experts), {.dtype = engine::DType::i64})};
  });
}

Evaluation evaluate_cascade(ride::ResNetCifar& model, const ride::ExpertAssignment& assignment,
                            const data::Loader& loader, const std::vector<int64_t>& counts,
                            const CascadeEvaluateOptions& options) {
  model.eval();
  const ride::CascadeNetwork network = ride::cascade_network(model);
  const RunOptions common{model.device(), options.keep_logits, options.profile};
  return run_all(loader, counts, common, [&](const Tensor& images) {
    const ride::CascadeResult result = ride::cascade(network, assignment, images, options.cascade);
    return BatchOutput{
        .logits = result.logits,
        .expert_logits = options.keep_logits ? engine::stack(logits_of(model, images, model.experts()), 0) : Tensor(),
        .experts_used = result.experts_used};
  });
}

}  // namespace apps
