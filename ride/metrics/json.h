// Metrics as JSON, for `--json` and metrics.jsonl.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include "ride/metrics/meter.h"

namespace ride {

// Keys as the members of Metrics; the two threshold conventions are objects "splits" (the authors' code) and
// "splits_paper" of many, medium, few. What has no value is null; experts are left out where they were not counted.
nlohmann::ordered_json to_json(const Metrics& metrics);

}  // namespace ride
