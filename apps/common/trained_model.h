// A model read back from a file: a training checkpoint, what ride-route wrote, or bare weights.
#pragma once
#include <memory>
#include <string>

#include "ride/models/resnet_cifar.h"
#include "ride/recipe.h"
#include "ride/routing/expert_assignment.h"

namespace apps {

struct TrainedModel {
  std::unique_ptr<ride::ResNetCifar> model;            // in eval mode
  std::unique_ptr<ride::ExpertAssignment> assignment;  // null where the file has none
};

// Builds what the recipe describes and loads it. Throws, listing every name that does not fit, when the file holds
// another architecture.
TrainedModel load_trained(const std::string& path, const ride::Recipe& recipe, int64_t classes,
                          engine::Device device = {});

}  // namespace apps
