// Inference by more than layers: each thread takes some images, or a branch of the network, through several layers.
// Activations stay in that thread's caches from layer to layer, and the threads wait for one another once, not at every
// layer.
#pragma once
#include <functional>

#include "engine/core/tensor.h"

namespace engine {

// f(x), or f(index_select(x, 0, rows)) where `rows` (M) i64 are given; f is a part of a network whose output for an
// image depends on that image alone, with the images first: (N, ...). Under InferenceMode every thread computes it for
// equally many sixteen-image groups of a batch_lanes tensor, or images of a channels_last one, a few at a time, in the
// caller's modes (inference, precision) and on views of x; what is left is for all threads together. Images that would
// fill at most half the lanes of the last group are computed in channels_last, which wastes nothing (but keeps the
// weights a second time, as that format's kernels want them), and their results put into the format of the others. Rows
// are selected by the thread that computes with them, just before: they go from one cache into the same cache, and
// nowhere are all of them in memory. In one piece otherwise, on other devices than the CPU, and while the profiler or
// an observer looks at single layers.
Tensor by_groups(const Tensor& x, const std::function<Tensor(const Tensor&)>& f, const Tensor& rows = {});

// f(i) for i < n: branches of a network that read x and don't depend on one another, such as experts. Where by_groups
// would not cut x, because it holds few images of channels_last, as many branches as come out even run at once under
// InferenceMode, each on one thread in the caller's modes; the others, and all of them otherwise, one after the other.
void for_branches(int64_t n, const Tensor& x, const std::function<void(int64_t)>& f);

}  // namespace engine
