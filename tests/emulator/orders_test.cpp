// The small cases of the parity suite with threads and blocks in other orders than the first: a result that depends on
// the order differs from the CPU's in one of them.
#include "tests/emulator/execution.h"
#include "tests/parity/parity.h"

using namespace engine;
using namespace engine::test;

TEST_CASE("parity: threads and blocks from the last to the first, and shuffled") {
  DEVICE_OR_SKIP(device);
  for (const emulator::Order order : {emulator::Order::backward, emulator::Order::shuffled}) {
    emulator::set_order(order);
    for (const Case& c : all_cases())
      if (c.uses.devices && c.uses.gradient) check_parity(c, device, {});
  }
  emulator::set_order(emulator::Order::forward);
}
