// What the profiler counts in a training step: the same arithmetic and the same bytes for each op on either device,
// where both do the same.
#include <map>

#include "engine/core/profile.h"
#include "engine/ops/conv.h"
#include "tests/parity/parity.h"
#include "tests/parity/training.h"

using namespace engine;
using namespace engine::test;

namespace {

std::map<std::string, profile::Row> work_of(Device device) {
  Training training(device);
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

// The CPU clears and copies the pixels that were chosen, the device writes every element.
bool is_done_otherwise(const std::string& name) { return name.starts_with("subsample2d"); }

bool is_conversion(const std::string& name) { return name.find("->") != std::string::npos; }

}  // namespace

TEST_CASE("parity: the profiler counts the same work") {
  DEVICE_OR_SKIP(device);
  const auto here = work_of({}), there = work_of(device);
  // cuDNN's gradients of weights come in channels_last and are copied into the parameters' order: an operation, a read
  // and a write for each.
  double weights = 0;
  for (const Tensor& parameter : Training({}).model().parameters())
    if (parameter.rank() == 4) weights += static_cast<double>(parameter.numel());
  for (const auto& [name, wanted] : here) {
    if (is_conversion(name)) continue;
    CAPTURE(name);
    REQUIRE(there.contains(name));
    const profile::Row& got = there.at(name);
    CHECK(got.calls == wanted.calls);
    CHECK((got.bytes > 0) == (wanted.bytes > 0));
    if (is_done_otherwise(name)) continue;
    const double copied = name == "conv2d backward" ? weights : 0;
    CHECK(got.flops == wanted.flops + copied);
    CHECK(got.bytes == wanted.bytes + 2 * sizeof(float) * copied);
  }
  for (const char* name : {"conv2d", "conv2d backward", "batch_norm", "batch_norm backward", "global_avg_pool2d", "sgd",
                           "subsample2d", "subsample2d backward", "matmul"})
    CHECK_MESSAGE((there.contains(name) && there.at(name).bytes > 0), name, " counts nothing");
}

// What a device fills them up with for its tensor cores is no work of the network's.
TEST_CASE("parity: the profiler counts an image's three channels as three, in every type") {
  DEVICE_OR_SKIP(device);
  allow_tf32(true);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Tensor x =
        Tensor::zeros({2, 3, 8, 8}, {.dtype = dtype, .device = device, .format = MemoryFormat::channels_last});
    const Tensor w = Tensor::zeros({16, 3, 3, 3}, {.device = device});
    profile::reset();
    profile::enable(true);
    const Tensor y = conv2d(x, w, {}, {.padding = 1});
    profile::enable(false);
    double flops = 0;
    for (const profile::Row& row : profile::rows())
      if (row.name == "conv2d") flops += row.flops;
    CHECK(flops == 2.0 * static_cast<double>(y.numel()) * 3 * 3 * 3);
  }
  profile::reset();
  allow_tf32(false);
}
