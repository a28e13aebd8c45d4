#include "engine/cuda/dnn.h"

#include <cudnn.h>

#include <map>
#include <mutex>

#include "engine/cuda/library.h"

namespace engine::cuda {
namespace {

constexpr LibraryName cudnn{.name = "cuDNN",
                            .file = "libcudnn.so",
                            .version = CUDNN_MAJOR,
                            .install =
                                "install it (pip install nvidia-cudnn-cu13, or NVIDIA's package) and name its "
                                "folder in LD_LIBRARY_PATH"};

// The few functions that are called here; all others are called by cudnn-frontend.
struct Functions {
  void* library = open_library(cudnn, library_folders());
  decltype(cudnnGetVersion)* version;
  decltype(cudnnCreate)* create;
  decltype(cudnnSetStream)* set_stream;
  decltype(cudnnGetErrorString)* error_string;

  Functions() {
    find_function(cudnn, library, "cudnnGetVersion", version);
    find_function(cudnn, library, "cudnnCreate", create);
    find_function(cudnn, library, "cudnnSetStream", set_stream);
    find_function(cudnn, library, "cudnnGetErrorString", error_string);
  }
};

const Functions& functions() {
  static const Functions functions;
  return functions;
}

void check_status(cudnnStatus_t status, const char* call, int device) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  check_work();
  fail("cuda", "{} failed on cuda:{}: {}", call, device, functions().error_string(status));
}

struct Handle {
  cudnnHandle_t handle = nullptr;
  cudaStream_t stream = nullptr;
};

}  // namespace

void* cudnn_library() { return functions().library; }

std::string cudnn_version() {
  const std::size_t version = functions().version();
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

// Handles are never destroyed: at the program's end the driver may be gone before them.
cudnnContext* cudnn_handle(const Context& c) {
  static std::mutex mutex;
  static auto* handles = new std::map<int, Handle>;
  const std::lock_guard lock(mutex);
  Handle& own = (*handles)[c.device()];
  c.use();
  if (!own.handle) check_status(functions().create(&own.handle), "cudnnCreate", c.device());
  if (own.stream != c.stream()) {
    check_status(functions().set_stream(own.handle, c.stream()), "cudnnSetStream", c.device());
    own.stream = c.stream();
  }
  return own.handle;
}

}  // namespace engine::cuda
