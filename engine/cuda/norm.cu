#include "engine/cuda/map.h"
#include "engine/cuda/table.h"

namespace engine::cuda {

void fill(NormKernels&) {}

}  // namespace engine::cuda
