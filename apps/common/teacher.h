// The trained model that a student distils from.
#pragma once
#include <memory>
#include <string>

#include "ride/models/resnet_cifar.h"
#include "ride/recipe.h"

namespace apps {

class Teacher {
 public:
  explicit Teacher(std::unique_ptr<ride::ResNetCifar> model) : model_(std::move(model)) {}
  // Mean logits (N, C) of all its experts, without gradients.
  engine::Tensor logits(const engine::Tensor& images);

 private:
  std::unique_ptr<ride::ResNetCifar> model_;
};

// Null where the recipe does not distil. The teacher's architecture comes from the recipe inside its checkpoint, or for
// bare weights is the student's with distill.teacher_experts experts. In the reference variant it normalises by batch
// statistics and keeps updating its running ones, as the authors' code never puts it into eval mode; in the paper
// variant it is in eval mode.
std::unique_ptr<Teacher> load_teacher(const ride::Recipe& recipe, const std::string& path, int64_t classes,
                                      engine::Device device = {});

}  // namespace apps
