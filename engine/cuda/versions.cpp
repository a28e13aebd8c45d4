#include "engine/cuda/versions.h"

#include "engine/cuda/blas.h"
#include "engine/cuda/dnn.h"
#include "engine/cuda/library.h"

namespace engine::cuda {

void open_libraries() {
  open_all({[] { cudnn_library(); }, [] { blas(); }});
}

std::string library_versions() {
  const std::size_t version = blas().version();
  return fmt::format("cuDNN {}, cuBLASLt {}.{}.{}", cudnn_version(), version / 10000, version / 100 % 100,
                     version % 100);
}

}  // namespace engine::cuda
