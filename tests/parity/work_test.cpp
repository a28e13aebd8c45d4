// What the profiler counts in a training step: the same arithmetic and the same bytes for each op on either device,
// where both do the same.
#include <map>

#include "engine/core/profile.h"
#include "tests/parity/parity.h"
#include "tests/parity/training.h"

using namespace engine;
using namespace engine::test;

namespace {

std::map<std::string, profile::Row> work_of(Device device, DType precision) {
  Training training(device, {.precision = precision});
  training.step();  // makes what later steps find
  profile::reset();
  profile::enable(true);
  training.step();
  profile::enable(false);
  std::map<std::string, profile::Row> rows;
  for (const profile::Row& row : profile::rows()) rows[row.name] = row;
  profile::reset();
  return rows;
}

// Ops that the devices do in different ways, and why.
const std::map<std::string, std::string> different = {};

bool is_conversion(const std::string& name) { return name.find("->") != std::string::npos; }

}  // namespace

TEST_CASE("parity: the profiler counts the same work") {
  DEVICE_OR_SKIP(device);
  const auto here = work_of({}, DType::f32), there = work_of(device, DType::f32);
  for (const auto& [name, wanted] : here) {
    if (is_conversion(name) || different.contains(name)) continue;
    CAPTURE(name);
    REQUIRE(there.contains(name));
    const profile::Row& got = there.at(name);
    CHECK(got.calls == wanted.calls);
    CHECK(got.flops == wanted.flops);
    CHECK(got.bytes == wanted.bytes);
  }
  for (const char* name : {"conv2d", "conv2d backward", "batch_norm", "batch_norm backward", "global_avg_pool2d", "sgd",
                           "subsample2d", "subsample2d backward", "matmul"})
    CHECK_MESSAGE((there.contains(name) && there.at(name).bytes > 0), name, " counts nothing");
}
