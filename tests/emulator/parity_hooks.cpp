#include "tests/emulator/execution.h"
#include "tests/parity/device.h"

void engine::test::recover() { emulator::take_fault(); }
int engine::test::training_steps() { return 5; }

void engine::test::in_every_order(const std::function<void()>& f) {
  for (const auto order : {emulator::Order::forward, emulator::Order::backward, emulator::Order::shuffled}) {
    emulator::set_order(order);
    CAPTURE(static_cast<int>(order));
    f();
  }
  emulator::set_order(emulator::Order::forward);
}
