// cuDNN finds and builds plans for a device that is only described to it: that every layer of every network has one, in
// all passes and types, is known before a device is there. Nothing runs.
#include <doctest/doctest.h>

#include <array>

#include "engine/cuda/conv_graph.h"
#include "engine/cuda/dnn.h"
#include "tests/cuda/network_convs.h"

using namespace engine;
using namespace engine::cuda;

namespace {

// What cuDNN says of an H100, in its own words for it.
constexpr const char* h100 = R"({"deviceName": "NVIDIA H100 80GB HBM3", "deviceVer": 900, "driverVer": 13000,
  "cudaDeviceId": 0, "pciDeviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 84929937408,
  "multiProcessorCount": 132, "warpSize": 32, "l2CacheSize": 52428800, "smClockRateKHz": 1980000,
  "memClockRateKHz": 2619000, "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
  "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "maxCtasPerSM": 32, "regsPerBlock": 65536,
  "maxRegistersPerSM": 65536, "maxSharedMemoryPerBlock": 49152, "maxSharedMemoryPerBlockOptin": 232448,
  "reservedSharedMemoryPerBlock": 1024})";

// Why the test can't be made on this machine; empty if it can.
const std::string& obstacle() {
  static const std::string text = [] {
    try {
      cudnn_library();
      ConvGraph({.x = {8, 8, 8, 8}, .w = {8, 8, 1, 1}, .y = {8, 8, 8, 8}}, {.device = h100}, 1);
      return std::string();
    } catch (const std::exception& error) {
      return std::string(error.what());
    }
  }();
  return text;
}

#define NEEDS_CUDNN                     \
  if (!obstacle().empty()) {            \
    MESSAGE("skipped: " << obstacle()); \
    return;                             \
  }

void check_has_plan(const ConvProblem& problem) {
  const ConvGraph graph(problem, {.device = h100}, 1);
  CHECK_MESSAGE(graph.plans() == 1, problem.str(), ": ", graph.why());
  if (graph.plans() == 1) CHECK(graph.workspace(0) <= int64_t{1} << 30);
}

constexpr std::array passes{ConvPass::forward, ConvPass::backward_input, ConvPass::backward_weight};

// As conv.cpp gives it to cuDNN.
ConvProblem problem_of(const NetworkConv& c, ConvPass pass, DType dtype, MemoryFormat format) {
  const TensorOptions like{.dtype = dtype, .format = format};
  const int64_t channels = padded_channels(c.x, like, c.options.groups);
  return describe_conv(pass, {c.x.replaced(1, channels), c.w.replaced(1, channels / c.options.groups), c.y}, like,
                       c.options);
}

void check_all(const NetworkConv& c, DType dtype, MemoryFormat format) {
  for (const ConvPass pass : passes) check_has_plan(problem_of(c, pass, dtype, format));
}

}  // namespace

TEST_CASE("every layer of the networks has a plan in bf16 and with TF32, in all passes") {
  NEEDS_CUDNN
  for (const NetworkConv& c : network_convs()) {
    CAPTURE(c.network);
    check_all(c, DType::bf16, MemoryFormat::channels_last);
    if (c.network == "RIDE-3") check_all(c, DType::f32, MemoryFormat::channels_last);
  }
}

TEST_CASE("every layer has one pass with bias, residual and ReLU in bf16") {
  NEEDS_CUDNN
  for (const NetworkConv& c : network_convs()) {
    CAPTURE(c.network);
    ConvProblem problem = problem_of(c, ConvPass::forward, DType::bf16, MemoryFormat::channels_last);
    problem.bias = problem.relu = true;
    check_has_plan(problem);
    if (c.w[2] != 1 || c.options.stride.h != 1) continue;  // a block's last convolution
    problem.residual = true;
    check_has_plan(problem);
  }
}

TEST_CASE("strict f32, f16, f64 and row-major tensors have plans too, deterministic ones among them") {
  NEEDS_CUDNN
  allow_tf32(false);
  deterministic(true);
  const NetworkConv odd{"odd", {3, 5, 11, 7}, {7, 5, 3, 2}, {3, 7, 5, 4}, {.stride = 2, .padding = {0, 1}}};
  const NetworkConv dilated{"dilated", {2, 8, 13, 13}, {8, 4, 3, 3}, {2, 8, 9, 9}, {.dilation = 2, .groups = 2}};
  for (const NetworkConv* c : {&network_convs()[0], &network_convs()[3], &odd, &dilated}) {
    CAPTURE(c->network);
    for (const MemoryFormat format : {MemoryFormat::channels_last, MemoryFormat::contiguous})
      for (const DType dtype : {DType::f32, DType::bf16, DType::f16, DType::f64}) check_all(*c, dtype, format);
  }
  set_tf32({});
  deterministic(false);
}

TEST_CASE("the bias alone is added in the same pass, in every type but f64") {
  NEEDS_CUDNN
  for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
    ConvProblem problem = problem_of(network_convs()[0], ConvPass::forward, dtype, MemoryFormat::channels_last);
    problem.bias = true;
    check_has_plan(problem);
  }
}

TEST_CASE("several plans for one problem, as autotuning wants them") {
  NEEDS_CUDNN
  const ConvGraph graph(problem_of(network_convs()[0], ConvPass::forward, DType::bf16, MemoryFormat::channels_last),
                        {.device = h100}, 4);
  REQUIRE(graph.plans() == 4);
  CHECK(graph.name(0) != graph.name(1));
}

TEST_CASE("a problem that can't be is refused with its description") {
  NEEDS_CUDNN
  const ConvGraph graph({.x = {8, 16, 8, 8}, .w = {8, 5, 3, 3}, .y = {8, 8, 6, 6}}, {.device = h100}, 1);
  CHECK(graph.plans() == 0);
  CHECK(!graph.why().empty());
}
