// Where a program computes, and how exactly: the options that all programs share.
#pragma once
#include <string>

#include "engine/core/device.h"

namespace CLI {
class App;
}

namespace apps {

struct DeviceOptions {
  std::string device = "cpu";
  std::string tf32 = "convolutions";  // off, convolutions or all
  bool deterministic = false, autotune = false;

  // Opens the device and sets engine/core/numerics.h for the whole program. Throws Error that says what is missing for
  // the device, and for options that exclude each other.
  engine::Device open() const;
};

void add_device_options(CLI::App& app, DeviceOptions& options);

}  // namespace apps
