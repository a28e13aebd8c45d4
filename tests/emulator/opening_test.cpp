// What is said where a device can't be opened, before anything was done on it.
#include <doctest/doctest.h>

#include <cstdlib>
#include <sstream>

#include "engine/cuda/runtime.h"
#include "engine/cuda/versions.h"
#include "engine/kernels/select.h"
#include "tests/error_of.h"

using namespace engine;

// Run by the case below in a process of its own: a device that is open stays open.
TEST_CASE("opening: planted machines that lack something" * doctest::skip()) {
  const auto error_on = [](const emulator::Machine& machine) {
    emulator::set_machine(machine);
    CHECK(open_device("auto") == Device{});
    return error_of([] { open_device("cuda"); });
  };
  CHECK(contains(error_on({.driver = 0}), "no NVIDIA driver on this machine (libcuda.so.1): install one"));
  CHECK(contains(error_on({.driver = 12040}),
                 "the driver is for CUDA 12.4, this program needs one for 13.0 or newer: update the driver"));
  CHECK(contains(error_on({.devices = 0}), "the driver finds no NVIDIA device on this machine: use --device cpu"));
  CHECK(contains(error_on({.missing = "can't open cuDNN"}), "[cuda] can't open cuDNN"));
  emulator::set_machine({});
  CHECK(name(open_device("auto")) == "cuda:0");
}

TEST_CASE("opening a device says what is missing: a driver, a newer one, a device, a library") {
  CHECK(std::system("/proc/$PPID/exe --no-skip --test-case='opening: planted machines*' >/dev/null 2>&1") == 0);
}

TEST_CASE("opening a device for which the build has no kernels says which it has and which is asked for") {
  emulator::set_machine({.kernels = false});
  const std::string error = error_of([] { cuda::Context c(0); });
  emulator::set_machine({});
  CHECK(contains(error, "cuda:0 (emulated device) is of architecture 90, the kernels of this build are for 80, 90"));
  CHECK(contains(error, "(cudaErrorNoKernelImageForDevice): configure it with -Dgpu_arch=90, or use --device cpu"));
  CHECK(cudaGetLastError() == cudaSuccess);
  cuda::Context(0).synchronize();
}

TEST_CASE("the driver's own version is found in the words of its kernel module") {
  const auto version = [](const char* words) {
    std::istringstream text(words);
    return cuda::driver_version(text);
  };
  CHECK(version("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"
                "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n") == "550.54.15");
  CHECK(version("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\n") ==
        "580.65.06");
  CHECK(version("NVRM version: unknown. 12\n") == "");
  CHECK(version("") == "");
}
