#include "apps/common/device_options.h"

#include <CLI/CLI.hpp>

#include "engine/core/error.h"
#include "engine/core/numerics.h"
#include "engine/kernels/select.h"

namespace apps {

engine::Device DeviceOptions::open() const {
  engine::check(!deterministic || !autotune, "device",
                "--deterministic and --autotune exclude each other: what is fastest may differ from run to run");
  engine::set_tf32({.convolutions = tf32 != "off", .products = tf32 == "all"});
  engine::deterministic(deterministic);
  engine::autotune(autotune);
  return engine::open_device(device);
}

void add_device_options(CLI::App& app, DeviceOptions& options) {
  app.add_option("--device", options.device, "cpu, cuda, cuda:<index>, or auto: a CUDA device where there is one")
      ->capture_default_str();
  app.add_option("--tf32", options.tf32,
                 "where a GPU may round f32 factors to 10 bits of fraction for speed: off, convolutions or all")
      ->check(CLI::IsMember({"off", "convolutions", "all"}))
      ->capture_default_str();
  app.add_flag("--deterministic", options.deterministic,
               "on a GPU: only algorithms that give the same bits every time");
  app.add_flag("--autotune", options.autotune,
               "on a GPU: time several algorithms for each convolution and keep the fastest");
}

}  // namespace apps
