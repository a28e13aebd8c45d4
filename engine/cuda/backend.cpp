// The CUDA back end as the rest of the engine sees it.
#include "engine/kernels/backend.h"

#include <fstream>

#include "engine/cuda/clock.h"
#include "engine/cuda/memory.h"
#include "engine/cuda/recording.h"
#include "engine/cuda/runtime.h"
#include "engine/cuda/table.h"
#include "engine/cuda/versions.h"

namespace engine {
namespace cuda {
namespace {

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

std::string describe(int device) {
  const cudaDeviceProp& p = context(device).properties();
  int driver = 0;
  ENGINE_CUDA(cudaDriverGetVersion(&driver));
  std::ifstream file("/proc/driver/nvidia/version");
  const std::string own = driver_version(file);
  return fmt::format("{}, {:.1f} GiB, compute capability {}.{}, driver {}for CUDA {}, {}", p.name,
                     static_cast<double>(p.totalGlobalMem) / (1 << 30), p.major, p.minor, own.empty() ? "" : own + " ",
                     version_text(driver), library_versions());
}

// How many devices there are; throws with what is missing where there are none.
int count_devices() {
  int driver = 0, devices = 0;
  ENGINE_CUDA(cudaDriverGetVersion(&driver));
  check(driver != 0, "cuda", "no NVIDIA driver on this machine (libcuda.so.1): install one, or use --device cpu");
  const cudaError_t status = cudaGetDeviceCount(&devices);
  check(status != cudaErrorInsufficientDriver, "cuda",
        "the driver is for CUDA {}, this program needs one for {} or newer: update the driver, or use --device cpu",
        version_text(driver), version_text(CUDART_VERSION / 1000 * 1000));
  check(status != cudaErrorNoDevice && (status != cudaSuccess || devices > 0), "cuda",
        "the driver finds no NVIDIA device on this machine: use --device cpu");
  check_call(status, "cudaGetDeviceCount", __FILE__, __LINE__);
  return devices;
}

Backend open() {
  Backend backend;
  backend.devices = count_devices();
  open_libraries();  // what is missing is said here, not by the first op that needs it
  backend.table = kernel_table();
  backend.memory = &memory();
  backend.describe = describe;
  backend.clock = event_clock;
  backend.record = record;
  return backend;
}

}  // namespace
}  // namespace cuda

const Backend& cuda_backend() {
  static const Backend backend = cuda::open();
  return backend;
}

}  // namespace engine
