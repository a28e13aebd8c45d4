#include "tests/emulator/planned_device.h"

#include "engine/kernels/select.h"
#include "tests/emulator/execution.h"

namespace engine::test {

Device planned_device() {
  static const Device opened = [] {
    emulator::set_multiprocessors(132);
    emulator::set_memory(std::size_t{1} << 46);
    emulator::plan_launches([](const emulator::Launch&) {});
    return open_device("cuda");
  }();
  return opened;
}

void see_launches(const std::function<void()>& f, const std::function<void(const emulator::Launch&)>& see) {
  planned_device();
  emulator::plan_launches(see);
  f();
  emulator::plan_launches([](const emulator::Launch&) {});
}

}  // namespace engine::test
