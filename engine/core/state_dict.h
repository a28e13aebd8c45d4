// StateDict: named tensors in the order their module declares them. The handles share the module's storage.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "engine/core/tensor.h"

namespace engine {

using StateDict = std::vector<std::pair<std::string, Tensor>>;

}  // namespace engine
