#include "ride/losses/from_recipe.h"

namespace ride {
namespace {

std::optional<int> reweight_epoch(const Recipe::Loss& recipe) {
  return recipe.reweight_epoch < 0 ? std::nullopt : std::optional<int>(recipe.reweight_epoch);
}

}  // namespace

Variant variant_named(const std::string& name, const char* key) {
  if (name == "reference") return Variant::reference;
  if (name == "paper") return Variant::paper;
  throw RecipeError(fmt::format("[recipe] {} is \"{}\", expected reference or paper", key, name));
}

std::unique_ptr<ClassificationLoss> classification_loss(const Recipe::Loss& recipe, const ClassCounts& counts) {
  const DeferredWeights::Options reweighting{.reweight_epoch = recipe.drw ? reweight_epoch(recipe) : std::nullopt,
                                             .beta = recipe.beta};
  const std::string& kind = recipe.type == "ride" ? recipe.base : recipe.type;
  if (kind == "ce")
    return std::make_unique<CrossEntropyLoss>(
        counts, CrossEntropyLossOptions{.label_smoothing = recipe.label_smoothing, .reweighting = reweighting});
  if (kind == "focal")
    return std::make_unique<FocalLoss>(counts, FocalOptions{.gamma = recipe.focal_gamma, .reweighting = reweighting});
  if (kind == "ldam")
    return std::make_unique<LdamLoss>(
        counts, LdamOptions{.max_margin = recipe.max_margin, .scale = recipe.ldam_scale, .reweighting = reweighting});
  throw RecipeError(fmt::format("[recipe] loss.{} is \"{}\", expected ce, focal or ldam",
                                recipe.type == "ride" ? "base" : "type", kind));
}

RideLoss training_loss(const Recipe::Loss& recipe, const ClassCounts& counts) {
  RideLossOptions options{.variant = variant_named(recipe.variant, "loss.variant"), .diversity = 0};
  if (recipe.type == "ride") {
    options.individual = recipe.individual ? 1 : 0;
    options.collaborative = recipe.collaborative ? 1 : 0;
    options.diversity = recipe.diversity;
    options.reweight_epoch = reweight_epoch(recipe);
    options.eta = recipe.base_temperature;
    options.gamma = recipe.reweight_factor;
  }
  return RideLoss(classification_loss(recipe, counts), counts, options);
}

DistillationOptions distillation_options(const Recipe& recipe) {
  return {.variant = variant_named(recipe.loss.variant, "loss.variant"),
          .temperature = recipe.distill.temperature,
          .weight = recipe.distill.weight};
}

}  // namespace ride
