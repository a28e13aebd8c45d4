// The work that ride-bench times: a model on random images, as in a real run but without data loading.
#pragma once
#include <functional>

#include "apps/bench/options.h"

namespace apps::bench {

// A function that does one step of options.mode each time it is called: a training step is forward, loss, backward and
// SGD, inference is forward without gradients. Throws for a model or a memory format that is not known, and for
// a format that the model doesn't run in.
std::function<void()> make_step(const Options& options);

}  // namespace apps::bench
