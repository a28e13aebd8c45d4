#include "apps/common/evaluation.h"

#include <chrono>
#include <functional>

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

// What the network says of one batch.
struct Answer {
  Tensor logits, experts_used;
  ride::ExpertLogits experts;  // empty after a cascade, which doesn't call them all
};

// Of the first `experts` on every image.
ride::ExpertLogits logits_of(ride::ResNetCifar& model, const Tensor& images, int64_t experts) {
  const Tensor shared = model.shared(images);
  ride::ExpertLogits logits;
  for (int64_t e = 0; e < experts; ++e) logits.push_back(model.classify(e, model.features(e, shared)));
  return logits;
}

// One of the two ways of running `model`; it refers to both.
std::function<Answer(const Tensor& images)> network(ride::ResNetCifar& model, const EvaluateOptions& options) {
  if (options.assignment) {
    engine::check(options.experts == 0, "evaluate", "the cascade decides how many experts run, not experts = {}",
                  options.experts);
    return [cascade = ride::Cascade(ride::cascade_network(model), *options.assignment, options.cascade)](
               const Tensor& images) mutable {
      const ride::CascadeResult result = cascade(images);
      return Answer{.logits = result.logits, .experts_used = result.experts_used, .experts = {}};
    };
  }
  const int64_t experts = options.experts ? options.experts : model.experts();
  engine::check(experts >= 1 && experts <= model.experts(), "evaluate", "{} experts asked, the model has {}", experts,
                model.experts());
  return [&model, experts](const Tensor& images) {
    const ride::ExpertLogits logits = logits_of(model, images, experts);
    return Answer{
        .logits = ride::mean_logits(logits),
        .experts_used = Tensor::full({images.size(0)}, static_cast<double>(experts), {.dtype = engine::DType::i64}),
        .experts = logits};
  };
}

}  // namespace

Evaluation evaluate(ride::ResNetCifar& model, const data::Loader& loader, const std::vector<int64_t>& counts,
                    const EvaluateOptions& options) {
  model.eval();
  const auto run = network(model, options);
  const engine::InferenceMode inference;
  const engine::profile::Enabled uncounted(false);
  ride::Meter meter(counts);
  Evaluation out;
  std::vector<Tensor> logits, expert_logits, labels;
  for (const data::Batch& batch : loader.epoch(0)) {
    engine::synchronize(model.device());
    const auto start = std::chrono::steady_clock::now();
    const Answer answer = [&] {
      const engine::profile::Enabled counted(options.profile);
      const engine::profile::Scope scope("(between ops)");
      return run(batch.images);
    }();
    engine::synchronize(model.device());
    out.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ++out.batches;
    meter.add(answer.logits, batch.labels, answer.experts_used);
    out.loss += cross_entropy(answer.logits, batch.labels, {.reduction = engine::Reduction::sum}).item();
    if (!options.keep_logits) continue;
    const ride::ExpertLogits every =
        answer.experts.empty() ? logits_of(model, batch.images, model.experts()) : answer.experts;
    logits.push_back(answer.logits.to(engine::Device{}));
    expert_logits.push_back(engine::stack(every, 0).to(engine::Device{}));
    labels.push_back(batch.labels.to(engine::Device{}));
  }
  out.metrics = meter.result();
  out.loss /= static_cast<double>(std::max<int64_t>(meter.samples(), 1));
  if (!logits.empty()) {
    out.logits = engine::concat(logits, 0);
    out.expert_logits = engine::concat(expert_logits, 1);
    out.labels = engine::concat(labels, 0);
  }
  return out;
}

}  // namespace apps
