#include "engine/cuda/blas.h"

#include <map>
#include <mutex>

#include "engine/cuda/library.h"

namespace engine::cuda {
namespace {

constexpr LibraryName cublaslt{.name = "cuBLASLt",
                               .file = "libcublasLt.so",
                               .version = CUBLAS_VER_MAJOR,
                               .install =
                                   "install the CUDA toolkit's libraries (pip install nvidia-cublas, or NVIDIA's "
                                   "package) and name their folder in LD_LIBRARY_PATH"};

BlasFunctions load() {
  void* library = open_library(cublaslt, library_folders());
  BlasFunctions f{};
  find_function(cublaslt, library, "cublasLtGetVersion", f.version);
  find_function(cublaslt, library, "cublasLtCreate", f.create);
  find_function(cublaslt, library, "cublasLtGetStatusString", f.status_string);
  find_function(cublaslt, library, "cublasLtMatmul", f.matmul);
  find_function(cublaslt, library, "cublasLtMatmulAlgoGetHeuristic", f.heuristic);
  find_function(cublaslt, library, "cublasLtMatmulDescCreate", f.desc_create);
  find_function(cublaslt, library, "cublasLtMatmulDescDestroy", f.desc_destroy);
  find_function(cublaslt, library, "cublasLtMatmulDescSetAttribute", f.desc_set);
  find_function(cublaslt, library, "cublasLtMatrixLayoutCreate", f.layout_create);
  find_function(cublaslt, library, "cublasLtMatrixLayoutDestroy", f.layout_destroy);
  find_function(cublaslt, library, "cublasLtMatrixLayoutSetAttribute", f.layout_set);
  find_function(cublaslt, library, "cublasLtMatmulPreferenceCreate", f.preference_create);
  find_function(cublaslt, library, "cublasLtMatmulPreferenceDestroy", f.preference_destroy);
  find_function(cublaslt, library, "cublasLtMatmulPreferenceSetAttribute", f.preference_set);
  return f;
}

}  // namespace

const BlasFunctions& blas() {
  static const BlasFunctions functions = load();
  return functions;
}

// Handles are never destroyed: at the program's end the driver may be gone before them.
cublasLtHandle_t blas_handle(const Context& c) {
  static std::mutex mutex;
  static auto* handles = new std::map<int, cublasLtHandle_t>;
  const std::lock_guard lock(mutex);
  cublasLtHandle_t& handle = (*handles)[c.device()];
  c.use();
  if (!handle) ENGINE_BLAS(blas().create(&handle));
  return handle;
}

void check_blas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) [[likely]]
    return;
  check_work();
  fail("cuda", "{} failed: {}", call, blas().status_string(status));
}

BlasDesc make_desc(cublasComputeType_t compute, cudaDataType_t scale) {
  cublasLtMatmulDesc_t desc = nullptr;
  ENGINE_BLAS(blas().desc_create(&desc, compute, scale));
  return BlasDesc(desc, blas().desc_destroy);
}

BlasLayout make_layout(cudaDataType_t type, int64_t rows, int64_t columns, int64_t leading) {
  cublasLtMatrixLayout_t layout = nullptr;
  ENGINE_BLAS(
      blas().layout_create(&layout, type, static_cast<uint64_t>(rows), static_cast<uint64_t>(columns), leading));
  return BlasLayout(layout, blas().layout_destroy);
}

BlasPreference make_preference() {
  cublasLtMatmulPreference_t preference = nullptr;
  ENGINE_BLAS(blas().preference_create(&preference));
  return BlasPreference(preference, blas().preference_destroy);
}

}  // namespace engine::cuda
