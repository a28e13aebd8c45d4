#include "ride/metrics/json.h"

#include <nlohmann/json.hpp>

namespace ride {
namespace {

using nlohmann::ordered_json;

ordered_json value_or_null(const std::optional<double>& value) { return value ? ordered_json(*value) : ordered_json(); }

ordered_json split_json(const SplitMetrics& split, bool with_experts) {
  ordered_json json{{"classes", split.classes}, {"accuracy", value_or_null(split.accuracy)}};
  if (with_experts) json["experts_used"] = value_or_null(split.experts_used);
  return json;
}

}  // namespace

ordered_json to_json(const Metrics& metrics) {
  const bool with_experts = !metrics.samples_by_experts.empty();
  const auto splits = [with_experts](const SplitMetrics& many, const SplitMetrics& medium, const SplitMetrics& few) {
    return ordered_json{{"many", split_json(many, with_experts)},
                        {"medium", split_json(medium, with_experts)},
                        {"few", split_json(few, with_experts)}};
  };
  ordered_json json{{"samples", metrics.samples},
                    {"accuracy", value_or_null(metrics.accuracy)},
                    {"top5", value_or_null(metrics.top5)},
                    {"balanced", value_or_null(metrics.balanced)},
                    {"splits", splits(metrics.many, metrics.medium, metrics.few)},
                    {"splits_paper", splits(metrics.paper_many, metrics.paper_medium, metrics.paper_few)}};
  if (with_experts) {
    json["experts_used"] = value_or_null(metrics.experts_used);
    json["samples_by_experts"] = metrics.samples_by_experts;
  }
  ordered_json& per_class = json["per_class"] = ordered_json::array();
  for (const Accuracy& accuracy : metrics.per_class) per_class.push_back(value_or_null(accuracy));
  json["samples_per_class"] = metrics.samples_per_class;
  return json;
}

}  // namespace ride
