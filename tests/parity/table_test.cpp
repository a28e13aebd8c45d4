// Whether the back ends have a kernel for everything: needs no device.
#include "engine/cuda/table.h"
#include "engine/kernels/each_slot.h"
#include "tests/parity/parity.h"

using namespace engine;

namespace {

std::vector<std::string> empty_slots(const KernelTable& table) {
  std::vector<std::string> empty;
  for_each_slot(table, [&](const auto& slot) {
    if (!slot.filled()) empty.push_back(slot.name());
  });
  return empty;
}

}  // namespace

TEST_CASE("kernel tables: every slot is filled for the CPU and for CUDA") {
  CHECK(empty_slots(KernelTable{}).size() > 30);
  for (const auto& [device, table] :
       {std::pair<std::string, KernelTable>{"cpu", kernels(Device{})}, {"cuda", cuda::kernel_table()}})
    for (const std::string& slot : empty_slots(table)) FAIL_CHECK(device << " has no kernel for " << slot);
}
