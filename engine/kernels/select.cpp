#include "engine/kernels/select.h"

#include <charconv>

#include "engine/cpu/table.h"
#include "engine/kernels/backend.h"

namespace engine {
namespace {

// The index in "cuda:<index>"; 0 for "cuda", -1 for anything else.
int cuda_index(std::string_view text) {
  if (text == "cuda") return 0;
  if (!text.starts_with("cuda:")) return -1;
  int index = -1;
  const char *begin = text.data() + 5, *end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, index);
  return error == std::errc() && stop == end ? index : -1;
}

const Backend& open_cuda() {
  const Backend& backend = cuda_backend();
  register_memory(DeviceType::cuda, backend.memory);
  return backend;
}

}  // namespace

const KernelTable& kernels(Device device) {
  static const KernelTable cpu = cpu::kernel_table();
  return device.type == DeviceType::cpu ? cpu : cuda_backend().table;
}

Device open_device(std::string_view text) {
  if (text == "cpu") return {};
  if (text == "auto") {
    try {
      open_cuda();
      return {DeviceType::cuda, 0};
    } catch (const Error&) {
      return {};
    }
  }
  const int index = cuda_index(text);
  check(index >= 0, "device", "\"{}\" is no device: expected cpu, cuda, cuda:<index> or auto", text);
  const int devices = open_cuda().devices;
  check(index < devices, "device", "there is no cuda:{}: this machine has {} CUDA device{}, from cuda:0 on", index,
        devices, devices == 1 ? "" : "s");
  return {DeviceType::cuda, index};
}

void synchronize(Device device) {
  if (device.type != DeviceType::cpu) memory_of(device).synchronize(device.index);
}

std::string describe(Device device) {
  return device.type == DeviceType::cpu ? "cpu" : open_cuda().describe(device.index);
}

std::shared_ptr<profile::Clock> clock_of(Device device) {
  return device.type == DeviceType::cpu ? nullptr : open_cuda().clock(device.index);
}

}  // namespace engine
