// Kernels of engine/cuda in the emulator, beside the CPU's.
#include <doctest/doctest.h>

#include "engine/kernels/select.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"

using namespace engine;

TEST_CASE("a sum of two tensors on the emulated device") {
  const Device device = open_device("cuda");
  const Tensor a = Tensor::from(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3}).to(device);
  const Tensor b = Tensor::from(std::vector<float>{10, 20, 30}, {3}).to(device);
  CHECK((a + b).to<float>() == std::vector<float>{11, 22, 33, 14, 25, 36});
  CHECK(relu(a - b).to<float>() == std::vector<float>(6, 0));
  CHECK(transpose(a, 0, 1).to<float>() == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(Tensor::full({5}, 2, {.device = device}).to<float>() == std::vector<float>(5, 2));
}
