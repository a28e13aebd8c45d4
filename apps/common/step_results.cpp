#include "apps/common/step_results.h"

#include <cmath>

#include "engine/ops/elementwise.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape_ops.h"

namespace apps {

using engine::Tensor;

Tensor step_numbers(const ride::LossValue& loss, const ride::ExpertLogits& logits, const Tensor& labels) {
  const engine::NoGradGuard no_grad;
  const Tensor right = engine::sum(
      engine::cast(engine::equal(engine::argmax(ride::mean_logits(logits), 1), labels), engine::DType::f32));
  std::vector<Tensor> numbers = {engine::cast(loss.total.detach(), engine::DType::f32)};
  for (const auto& [name, value] : loss.parts) numbers.push_back(engine::cast(value, engine::DType::f32));
  numbers.push_back(right);
  return engine::stack(numbers, 0);
}

void StepResults::add(const Tensor& numbers, std::vector<std::string> names, int64_t images) {
  steps_.push_back({numbers, std::move(names), images});
}

std::optional<double> StepResults::read_into(TrainingState& state) {
  const std::vector<Step> steps = std::exchange(steps_, {});
  if (steps.empty()) return std::nullopt;
  std::vector<Tensor> all;
  for (const Step& step : steps) all.push_back(step.numbers);
  const std::vector<double> numbers = engine::concat(all, 0).to<double>();  // the host waits once
  auto next = numbers.begin();
  for (const Step& step : steps) {
    const double total = *next++;
    if (!std::isfinite(total)) return total;
    ride::LossValue loss{.total = Tensor::scalar(total, engine::DType::f64), .parts = {}};
    for (const std::string& name : step.names)
      loss.parts.emplace_back(name, Tensor::scalar(*next++, engine::DType::f64));
    state.add_batch(loss, static_cast<int64_t>(*next++), step.images);
  }
  return std::nullopt;
}

std::optional<int> read_results(StepResults& results, TrainingState& state, RunFolder& folder, Progress& progress,
                                const Stopwatch& watch) {
  if (results.empty()) return std::nullopt;
  if (const std::optional<double> loss = results.read_into(state)) {
    progress.finish();
    folder.log(fmt::format("loss is {} at epoch {} step {}: stopped; {}", *loss, state.epoch + 1, state.step + 1,
                           folder.last_good_checkpoint()));
    return 1;
  }
  progress.update(
      {.steps = state.batch, .images = watch.images, .loss = state.losses.mean(), .accuracy = state.accuracy()});
  return std::nullopt;
}

}  // namespace apps
