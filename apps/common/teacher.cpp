#include "apps/common/teacher.h"

#include "apps/common/experiment.h"
#include "ride/expert_logits.h"

namespace apps {

engine::Tensor Teacher::logits(const engine::Tensor& images) {
  engine::NoGradGuard no_grad;
  return ride::mean_logits(model_->forward(images).logits);
}

std::unique_ptr<Teacher> load_teacher(const ride::Recipe& recipe, const std::string& path, int64_t classes,
                                      engine::Device device) {
  if (recipe.distill.weight == 0) {
    engine::check(path.empty(), "teacher",
                  "the recipe does not distil: --set distill.weight=1, or leave --teacher out");
    return nullptr;
  }
  engine::check(!path.empty(), "teacher", "the recipe distils (distill.weight {}): --teacher CHECKPOINT is missing",
                recipe.distill.weight);
  const engine::Checkpoint checkpoint = engine::load_checkpoint(path);
  ride::Recipe taught = recipe;
  taught.model.experts = recipe.distill.teacher_experts;
  if (const auto found = checkpoint.metadata.find("recipe"); found != checkpoint.metadata.end())
    taught = ride::parse_recipe(found->second, path);
  auto model = make_model(taught, classes, device);
  engine::load_state(split_state(checkpoint).network, model->state_dict(), {.source = path});
  model->train(recipe.loss.variant == "reference");
  return std::make_unique<Teacher>(std::move(model));
}

}  // namespace apps
