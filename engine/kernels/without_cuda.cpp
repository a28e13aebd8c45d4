// What stands for the CUDA back end in a build without it.
#include "engine/kernels/backend.h"

namespace engine {

const Backend& cuda_backend() {
  fail("cuda", "this build has no CUDA back end: configure it with -Dcuda=enabled where the CUDA toolkit is installed");
}

}  // namespace engine
