// Element-wise kernels of engine/cuda in a few lines.
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "tests/parity/device.h"

using namespace engine;
using namespace engine::test;

TEST_CASE("a sum of two tensors on the device") {
  DEVICE_OR_SKIP(device);
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}).to(device);
  const Tensor b = Tensor::from(std::vector<float>{10, 20, 30}, {3}).to(device);
  CHECK((a + b).to<float>() == std::vector<float>{11, 22, 33, 14, 25, 36});
  CHECK(relu(a - b).to<float>() == std::vector<float>(6, 0));
  CHECK(transpose(a, 0, 1).to<float>() == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(Tensor::full({5}, 2, {.device = device}).to<float>() == std::vector<float>(5, 2));
}
