// Steps recorded as CUDA graphs.
#pragma once
#include <functional>
#include <memory>

#include "engine/kernels/step_graph.h"

namespace engine::cuda {

// As Backend::record. The recording keeps the memory that its step allocated: what is in it when a replay begins is
// overwritten. The first replay is the recorded step itself, with its learning rate and step count.
std::unique_ptr<Recording> record(int device, const std::function<void()>& step);

}  // namespace engine::cuda
