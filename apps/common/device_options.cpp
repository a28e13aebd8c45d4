#include "apps/common/device_options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <mutex>

#include "engine/core/error.h"
#include "engine/core/numerics.h"
#include "engine/kernels/select.h"

namespace apps {
namespace {

// Why `auto` is the CPU here, to stderr, once: a library that is missing beside a GPU is not what somebody wanted.
void say_what_auto_lacks() {
  static std::once_flag said;
  std::call_once(said, [] {
    try {
      engine::open_device("cuda");
    } catch (const engine::Error& error) {
      fmt::print(stderr, "--device auto is the CPU: {}\n", error.what());
    }
  });
}

}  // namespace

engine::Device DeviceOptions::open() const {
  engine::check(!deterministic || !autotune, "device",
                "--deterministic and --autotune exclude each other: what is fastest may differ from run to run");
  engine::set_tf32({.convolutions = tf32 != "off", .products = tf32 == "all"});
  engine::deterministic(deterministic);
  engine::autotune(autotune);
  const engine::Device opened = engine::open_device(device);
  if (device == "auto" && opened == engine::Device{}) say_what_auto_lacks();
  return opened;
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
