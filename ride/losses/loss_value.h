// A loss with the terms it is made of.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "engine/core/tensor.h"

namespace ride {

struct LossValue {
  engine::Tensor total;                                       // scalar, to call backward on
  std::vector<std::pair<std::string, engine::Tensor>> parts;  // scalars without history that sum to total
};

}  // namespace ride
