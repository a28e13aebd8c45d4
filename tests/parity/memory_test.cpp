// A device whose memory is full says so, and goes on with what fits.
#include "engine/core/device_memory.h"
#include "engine/ops/elementwise.h"
#include "tests/error_of.h"
#include "tests/parity/device.h"
#include "tests/parity/training.h"

using namespace engine;
using namespace engine::test;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

// While it lives, the device gives no more than what is in use and `more` bytes.
class Limit {
 public:
  Limit(Device device, std::size_t more) : device_(device) {
    memory_of(device).set_limit(memory_of(device).stats(device.index).allocated + more, device.index);
  }
  ~Limit() { memory_of(device_).set_limit(0, device_.index); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  Device device_;
};

}  // namespace

TEST_CASE("parity: what is larger than any device's memory is refused, and nothing is lost") {
  DEVICE_OR_SKIP(device);
  const Tensor x = Tensor::full({3}, 2, {.device = device});
  const std::size_t allocated = memory_of(device).stats(device.index).allocated;
  const std::string error = error_of([&] { Tensor::empty({1 << 20, 1 << 24}, {.device = device}); });
  CHECK_MESSAGE(contains(error, "[allocator] cuda:0 has no 67108864.0 MiB left"), error);
  CHECK(contains(error, "lower the batch size"));
  CHECK(memory_of(device).stats(device.index).allocated == allocated);
  CHECK((x + x).to<float>() == std::vector<float>(3, 4));
}

TEST_CASE("parity: beyond a limit of a device's memory a step fails, and it does once the limit is gone") {
  DEVICE_OR_SKIP(device);
  const Deterministic same;
  Training training(device), other(device);
  const double wanted = other.step();
  // Also gives back the blocks that nobody uses, which would do for the step.
  error_of([&] { Tensor::empty({1 << 20, 1 << 24}, {.device = device}); });
  {
    const Limit limit(device, mib / 2);
    const std::string error = error_of([&] { training.step(); });
    CHECK_MESSAGE(contains(error, "lower the batch size or raise the limit"), error);
    const Tensor x = Tensor::full({3}, 2, {.device = device});
    CHECK((x + x).to<float>() == std::vector<float>(3, 4));
  }
  CHECK(training.step() == wanted);
  CHECK(same_bits(training.checkpoint().optimizer, other.checkpoint().optimizer));
  const std::size_t allocated = memory_of(device).stats(device.index).allocated;
  const Limit limit(device, mib);
  const std::string error = error_of([&] { Tensor::empty({80, 1 << 20}, {.device = device}); });
  CHECK_MESSAGE(contains(error, "[allocator] 320.0 MiB asked"), error);
  CHECK(memory_of(device).stats(device.index).allocated == allocated);
}
