// Inference group by group: each thread takes whole sixteen-image groups through several layers. A group's activations
// stay in that thread's caches from layer to layer, and the threads wait for one another once, not at every layer.
#pragma once
#include <functional>

#include "engine/core/tensor.h"

namespace engine {

// f(x), f a part of a network whose output for an image depends on that image alone, with the images first: (N, ...).
// Under InferenceMode, where x lies in batch_lanes, every thread computes it for equally many groups, one at a time, in
// the caller's modes (inference, precision) and on views of x; what is left is for all threads together. In one piece
// otherwise, and while the profiler or an observer looks at single layers.
Tensor by_groups(const Tensor& x, const std::function<Tensor(const Tensor&)>& f);

}  // namespace engine
