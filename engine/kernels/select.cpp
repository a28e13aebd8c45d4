#include "engine/kernels/select.h"

#include "engine/cpu/table.h"

namespace engine {

const KernelTable& kernels(Device device) {
  static const KernelTable cpu = cpu::kernel_table();
  check(device.type == DeviceType::cpu, "kernels", "this build has no back end for device {}", name(device));
  return cpu;
}

}  // namespace engine
