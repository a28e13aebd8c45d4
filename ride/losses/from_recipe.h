// The losses that a recipe asks for.
#pragma once
#include "ride/losses/distillation.h"
#include "ride/losses/ride_loss.h"
#include "ride/recipe.h"

namespace ride {

// L for one expert: `type`, or `base` where the type is ride. Throws RecipeError for an unknown name.
std::unique_ptr<ClassificationLoss> classification_loss(const Recipe::Loss& recipe, const ClassCounts& counts);

// The whole training loss. ce, focal and ldam are RIDE's individual term alone, so that one loss serves every recipe
// and any number of experts.
RideLoss training_loss(const Recipe::Loss& recipe, const ClassCounts& counts);

DistillationOptions distillation_options(const Recipe& recipe);

// "reference" or "paper"; `key` names the recipe's key in the error.
Variant variant_named(const std::string& name, const char* key);

}  // namespace ride
