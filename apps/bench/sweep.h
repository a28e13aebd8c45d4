// Every combination of some options' values: `batch=1,16 threads=1,2` makes four configurations of one.
#pragma once
#include <string>
#include <vector>

#include "apps/bench/options.h"

namespace apps::bench {

// One configuration per combination of the axes' values, the last axis fastest; `base` alone where there is none. An
// axis is `key=value,value,...` with key batch, image-size, threads, model, mode, precision or format. Throws for
// another key and for what is no value of it.
std::vector<Options> combinations(const Options& base, const std::vector<std::string>& axes);

}  // namespace apps::bench
