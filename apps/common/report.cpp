#include "apps/common/report.h"

#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "apps/common/experiment.h"
#include "engine/core/parallel.h"
#include "engine/kernels/select.h"

namespace apps {
namespace {

std::string cell(const ride::Accuracy& accuracy) { return accuracy ? percent(*accuracy) : "-"; }
double images_per_second(const EpochReport& report) { return static_cast<double>(report.images) / report.seconds; }
double number(const ride::Accuracy& accuracy) { return accuracy.value_or(std::nan("")); }

// argv as the system keeps it.
std::vector<std::string> command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::vector<std::string> words;
  for (std::size_t at = 0; at < text.size(); at += words.back().size() + 1) words.emplace_back(text.c_str() + at);
  return words;
}

RunInfo run_info(const ride::Recipe& recipe, engine::Device device) {
  return {.command = command_line(),
          .seed = recipe.seed,
          .device = engine::describe(device),
          .threads = engine::num_threads(),
          .versions = {}};
}

}  // namespace

void begin_run(RunFolder& folder, const ride::Recipe& recipe, const std::string& data_summary, engine::Device device,
               const Resumed& resumed) {
  folder.write_recipe(ride::to_toml(recipe));
  folder.write_run(run_info(recipe, device));
  folder.log(data_summary);
  if (!resumed.checkpoint.empty())
    folder.log(
        fmt::format("resumed {} at epoch {} step {}", resumed.checkpoint, resumed.state.epoch + 1, resumed.state.step));
}

std::string epoch_line(const ride::Recipe& recipe, const TrainingState& state, const EpochReport& report,
                       const std::optional<Evaluation>& test) {
  std::string line = fmt::format("epoch {}/{}  lr {:.6g}  loss {:.4f} acc {}", state.epoch + 1, recipe.schedule.epochs,
                                 report.lr, state.losses.mean(), percent(state.accuracy()));
  if (test)
    line += fmt::format("  test {} (many {} medium {} few {}) loss {:.4f}", cell(test->metrics.accuracy),
                        cell(test->metrics.many.accuracy), cell(test->metrics.medium.accuracy),
                        cell(test->metrics.few.accuracy), test->loss);
  line += fmt::format("  {:.1f} s, {:.0f} images/s", report.seconds, images_per_second(report));
  return report.replayed ? line + fmt::format(", steps replayed: {}", *report.replayed) : line;
}

std::vector<std::pair<std::string, double>> epoch_metrics(const TrainingState& state, const EpochReport& report,
                                                          const std::optional<Evaluation>& test) {
  std::vector<std::pair<std::string, double>> values = {{"train/loss", state.losses.mean()}};
  for (const auto& [part, mean] : state.losses.parts()) values.emplace_back("train/loss_" + part, mean);
  values.insert(values.end(),
                {{"train/acc", state.accuracy()}, {"lr", report.lr}, {"images_per_second", images_per_second(report)}});
  if (test)
    values.insert(values.end(), {{"val/loss", test->loss},
                                 {"val/acc", number(test->metrics.accuracy)},
                                 {"val/acc_many", number(test->metrics.many.accuracy)},
                                 {"val/acc_medium", number(test->metrics.medium.accuracy)},
                                 {"val/acc_few", number(test->metrics.few.accuracy)}});
  return values;
}

std::string metrics_table(const std::vector<std::pair<std::string, ride::Metrics>>& results) {
  Table table({"", "all", "many", "medium", "few", "top-5", "balanced", "experts"});
  for (const auto& [name, m] : results)
    table.add({name, cell(m.accuracy), cell(m.many.accuracy), cell(m.medium.accuracy), cell(m.few.accuracy),
               cell(m.top5), cell(m.balanced), m.experts_used ? fmt::format("{:.2f}", *m.experts_used) : "-"});
  return table.str();
}

ride::Description describe_model(ride::ResNetCifar& model, const ride::Recipe& recipe) {
  return ride::describe(model, {.height = recipe.data.image_size, .width = recipe.data.image_size, .assignment = {}});
}

ride::Description describe_with_routing(ride::ResNetCifar& model, const ride::Recipe& recipe) {
  if (model.experts() < 2) return describe_model(model, recipe);
  const auto assignment = make_assignment(recipe, model);
  int64_t parameters = 0;
  for (const engine::Tensor& p : assignment->parameters()) parameters += p.numel();
  const auto& o = assignment->options();
  return ride::describe(model, {.height = recipe.data.image_size,
                                .width = recipe.data.image_size,
                                .assignment = {.parameters = parameters,
                                               .macs_per_head = o.features * o.hidden + o.top_choices + o.hidden}});
}

nlohmann::ordered_json to_json(const ride::Description& description) {
  int64_t own = 0;
  for (const ride::LayerCost& layer : description.layers) own += layer.parameters;
  nlohmann::ordered_json json = {
      {"parameters", own}, {"macs", description.total.macs}, {"macs_with_bn", description.total.macs_with_bn}};
  if (description.by_experts.size() < 2) return json;
  json["assignment_parameters"] = description.parameters - own;
  json["by_experts"] = nlohmann::ordered_json::array();
  for (std::size_t k = 0; k < description.by_experts.size(); ++k)
    json["by_experts"].push_back({{"experts", k + 1},
                                  {"macs", description.by_experts[k].macs},
                                  {"macs_with_bn", description.by_experts[k].macs_with_bn}});
  return json;
}

ride::Cost mean_cost(const ride::Description& description, const ride::Metrics& metrics) {
  if (metrics.samples_by_experts.empty()) return description.total;
  double macs = 0, with_bn = 0;
  for (std::size_t k = 0; k < metrics.samples_by_experts.size(); ++k) {
    const double share = static_cast<double>(metrics.samples_by_experts[k]) / static_cast<double>(metrics.samples);
    macs += share * static_cast<double>(description.by_experts.at(k).macs);
    with_bn += share * static_cast<double>(description.by_experts.at(k).macs_with_bn);
  }
  return {.macs = std::llround(macs), .macs_with_bn = std::llround(with_bn)};
}

}  // namespace apps
