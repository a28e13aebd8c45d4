#include "ride/recipe_fields.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace ride {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string_view last_part(std::string_view key) { return key.substr(key.rfind('.') + 1); }

void add_data(std::vector<Field>& fields, Recipe& r) {
  fields.insert(
      fields.end(),
      {{"name", &r.name, "names the run", {}, {}},
       {"seed", &r.seed, "of initialisation, shuffling and augmentation", {.least = 0}, {}},
       {"precision", &r.precision, "of activations", {}, {"f32", "bf16"}},

       {"data.dataset", &r.data.dataset, "", {}, {"cifar100", "cifar10", "fashion-mnist", "folder", "list"}},
       {"data.image_size", &r.data.image_size, "height and width the network sees", {.least = 4, .most = 1024}, {}},
       {"data.imbalance", &r.data.imbalance, "largest over smallest class; 1: the set as it is", {.least = 1}, {}},
       {"data.imbalance_profile", &r.data.imbalance_profile, "", {}, {"exponential", "step"}},
       {"data.largest", &r.data.largest, "images of class 0; 0: all there are", {.least = 0}, {}},
       {"data.draw_seed", &r.data.draw_seed, "of the long-tailed draw", {.least = 0, .most = 4294967295.0}, {}},
       {"data.sampler", &r.data.sampler, "", {}, {"shuffled", "class-balanced", "square-root"}},
       {"data.batch", &r.data.batch, "images per step", {.least = 1}, {}},

       {"augment.crop_padding",
        &r.augment.crop_padding,
        "pixels of black around, then a random crop",
        {.least = 0},
        {}},
       {"augment.flip", &r.augment.flip, "left-right, half of the images", {}, {}},
       {"augment.rotation", &r.augment.rotation, "degrees at most, either way", {.least = 0, .most = 180}, {}},
       {"augment.mean", &r.augment.mean, "per channel, of pixels in [0, 1]", {}, {}},
       {"augment.std", &r.augment.std, "", {.above = 0}, {}}});
}

void add_model(std::vector<Field>& fields, Recipe& r) {
  fields.insert(
      fields.end(),
      {{"model.architecture", &r.model.architecture, "", {}, {"resnet32"}},
       {"model.experts", &r.model.experts, "", {.least = 1, .most = 8}, {}},
       {"model.reduce_dimension", &r.model.reduce_dimension, "24 and 48 channels instead of 32 and 64", {}, {}},
       {"model.classifier", &r.model.classifier, "", {}, {"cosine", "linear"}},
       {"model.scale", &r.model.scale, "of the cosine classifier's logits", {.above = 0}, {}},
       {"model.classes", &r.model.classes, "0: as many as the data set has", {.least = 0}, {}},
       {"model.format",
        &r.model.format,
        "memory format of the activations; auto: the fastest",
        {},
        {"auto", "contiguous", "channels_last", "batch_lanes"}}});
}

void add_loss(std::vector<Field>& fields, Recipe& r) {
  Recipe::Loss& loss = r.loss;
  fields.insert(
      fields.end(),
      {{"loss.type", &loss.type, "", {}, {"ce", "focal", "ldam", "ride"}},
       {"loss.base", &loss.base, "ride: each expert's classification loss", {}, {"ldam", "ce", "focal"}},
       {"loss.variant", &loss.variant, "as in the authors' code or as in the paper", {}, {"reference", "paper"}},
       {"loss.individual", &loss.individual, "ride: base loss of every expert", {}, {}},
       {"loss.collaborative", &loss.collaborative, "ride: base loss of the experts' mean logits", {}, {}},
       {"loss.diversity",
        &loss.diversity,
        "ride: factor of the diversity term; negative drives experts apart, 0: off",
        {},
        {}},
       {"loss.reweight_epoch",
        &loss.reweight_epoch,
        "weights and temperatures hold after this epoch; -1: never",
        {.least = -1},
        {}},
       {"loss.reweight_factor", &loss.reweight_factor, "gamma of eq. 3", {.least = 0, .most = 1}, {}},
       {"loss.base_temperature", &loss.base_temperature, "eta of eq. 3", {.above = 0}, {}},
       {"loss.max_margin", &loss.max_margin, "ldam: margin of the rarest class", {.least = 0}, {}},
       {"loss.ldam_scale", &loss.ldam_scale, "ldam: margins are multiplied by it", {.above = 0}, {}},
       {"loss.focal_gamma", &loss.focal_gamma, "", {.least = 0}, {}},
       {"loss.drw", &loss.drw, "class weights after reweight_epoch", {}, {}},
       {"loss.beta", &loss.beta, "drw: class weight (1 - beta) / (1 - beta^n)", {.least = 0, .below = 1}, {}},
       {"loss.label_smoothing", &loss.label_smoothing, "ce", {.least = 0, .below = 1}, {}},

       {"distill.weight", &r.distill.weight, "of the distillation loss; 0: off", {.least = 0}, {}},
       {"distill.temperature", &r.distill.temperature, "", {.above = 0}, {}},
       {"distill.teacher_experts", &r.distill.teacher_experts, "", {.least = 1, .most = 8}, {}}});
}

void add_training(std::vector<Field>& fields, Recipe& r) {
  fields.insert(
      fields.end(),
      {{"optim.lr", &r.optim.lr, "", {.above = 0}, {}},
       {"optim.momentum", &r.optim.momentum, "", {.least = 0, .below = 1}, {}},
       {"optim.nesterov", &r.optim.nesterov, "", {}, {}},
       {"optim.weight_decay", &r.optim.weight_decay, "of all parameters", {.least = 0}, {}},

       {"schedule.epochs", &r.schedule.epochs, "", {.least = 1}, {}},
       {"schedule.kind", &r.schedule.kind, "", {}, {"multi-step", "cosine"}},
       {"schedule.milestones", &r.schedule.milestones, "lr is multiplied by gamma after each", {.least = 0}, {}},
       {"schedule.gamma", &r.schedule.gamma, "", {.above = 0, .most = 1}, {}},
       {"schedule.warmup_epochs", &r.schedule.warmup_epochs, "lr rises linearly", {.least = 0}, {}},
       {"schedule.evaluate_every",
        &r.schedule.evaluate_every,
        "epochs between evaluations; the last is always evaluated",
        {.least = 1},
        {}},

       {"route.epochs", &r.route.epochs, "", {.least = 1}, {}},
       {"route.batch", &r.route.batch, "", {.least = 1}, {}},
       {"route.lr", &r.route.lr, "falls to 0 as a cosine", {.above = 0}, {}},
       {"route.momentum", &r.route.momentum, "", {.least = 0, .below = 1}, {}},
       {"route.nesterov", &r.route.nesterov, "", {}, {}},
       {"route.weight_decay", &r.route.weight_decay, "", {.least = 0}, {}},
       {"route.pos_weight", &r.route.pos_weight, "of samples that a later expert gets right", {.above = 0}, {}},
       {"route.top_choices", &r.route.top_choices, "largest logits the assignment sees", {.least = 1}, {}},
       {"route.hidden", &r.route.hidden, "width of the assignment's feature", {.least = 1}, {}},
       {"route.variant", &r.route.variant, "", {}, {"reference", "paper"}},
       {"route.threshold", &r.route.threshold, "the next expert is called above it", {.least = 0, .most = 1}, {}}});
}

}  // namespace

bool Range::holds(double x) const { return std::isfinite(x) && x >= least && x <= most && x > above && x < below; }

std::string Range::str() const {
  std::string text;
  const auto add = [&](double bound, const char* sign) {
    if (std::isfinite(bound)) text += fmt::format("{} {} {}", text.empty() ? "" : " and", sign, bound);
  };
  add(least, ">=");
  add(above, ">");
  add(most, "<=");
  add(below, "<");
  return text;
}

std::string Field::section() const { return key.substr(0, key.find('.') == std::string::npos ? 0 : key.find('.')); }
std::string Field::last() const { return std::string(last_part(key)); }

std::string Field::allowed() const {
  struct {
    const Field& field;
    std::string operator()(bool*) const { return "true or false"; }
    std::string operator()(int*) const { return fmt::format("an integer{}", field.range.str()); }
    std::string operator()(int64_t*) const { return fmt::format("an integer{}", field.range.str()); }
    std::string operator()(double*) const { return fmt::format("a number{}", field.range.str()); }
    std::string operator()(std::vector<int>*) const {
      return fmt::format("a rising list of integers{}", field.range.str());
    }
    std::string operator()(std::array<double, 3>*) const {
      return fmt::format("a list of three numbers{}", field.range.str());
    }
    std::string operator()(std::string*) const {
      return field.choices.empty() ? "a text" : fmt::format("one of \"{}\"", fmt::join(field.choices, "\", \""));
    }
  } describe{*this};
  return std::visit(describe, target);
}

std::vector<Field> fields_of(Recipe& recipe) {
  std::vector<Field> fields;
  add_data(fields, recipe);
  add_model(fields, recipe);
  add_loss(fields, recipe);
  add_training(fields, recipe);
  return fields;
}

std::string resolve_alias(const std::string& key) {
  static const std::map<std::string, std::string> aliases{{"imbalance", "data.imbalance"},
                                                          {"epochs", "schedule.epochs"},
                                                          {"experts", "model.experts"},
                                                          {"lr", "optim.lr"},
                                                          {"batch", "data.batch"}};
  const auto found = aliases.find(key);
  return found == aliases.end() ? key : found->second;
}

std::string nearest(const std::string& key, const std::vector<std::string>& known) {
  const auto distance = [&](const std::string& other) {
    return std::min(edit_distance(key, other), edit_distance(last_part(key), last_part(other)) + 1);
  };
  return *std::min_element(known.begin(), known.end(),
                           [&](const std::string& a, const std::string& b) { return distance(a) < distance(b); });
}

}  // namespace ride
