// One description of a run: what a TOML recipe, the command line's dotted overrides and the defaults make together.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/error.h"

namespace ride {

// A mistake in a recipe or an override: unknown key, wrong type, value out of range. Programs exit with 2.
struct RecipeError : engine::Error {
  using engine::Error::Error;
};

// The defaults are the authors' CIFAR100-LT recipe for RIDE with three experts. Every field is a key of the TOML file:
// `recipe.loss.diversity` is `diversity` in the table [loss]. recipe_fields.cpp has each key's meaning and range.
struct Recipe {
  std::string name = "unnamed";
  int64_t seed = 1;
  std::string precision = "f32";  // of activations; bf16: parameters, statistics and losses stay f32

  struct Data {
    std::string dataset = "cifar100";               // cifar100, cifar10, fashion-mnist, folder, list
    int image_size = 32;                            // height and width the network sees
    double imbalance = 100;                         // largest over smallest class; 1: the set as it is
    std::string imbalance_profile = "exponential";  // or step
    int largest = 0;                                // images of class 0; 0: all there are
    int64_t draw_seed = 0;                          // of the long-tailed draw
    std::string sampler = "shuffled";               // class-balanced, square-root
    int batch = 128;
    bool operator==(const Data&) const = default;
  } data;

  struct Augment {
    int crop_padding = 4;  // pixels
    bool flip = true;
    double rotation = 15;  // degrees
    std::array<double, 3> mean = {0.4914, 0.4822, 0.4465}, std = {0.2023, 0.1994, 0.2010};
    bool operator==(const Augment&) const = default;
  } augment;

  struct Model {
    std::string architecture = "resnet32";
    int experts = 3;
    bool reduce_dimension = true;       // layer2, layer3 with 24, 48 channels instead of 32, 64
    std::string classifier = "cosine";  // or linear
    double scale = 30;                  // of the cosine classifier's logits
    int classes = 0;                    // 0: as many as the data set has
    std::string format = "auto";        // memory format of the activations
    bool operator==(const Model&) const = default;
  } model;

  struct Loss {
    std::string type = "ride";          // ce, focal, ldam, ride
    std::string base = "ldam";          // ride: each expert's classification loss
    std::string variant = "reference";  // or paper
    bool individual = true;             // ride: base loss of every expert
    bool collaborative = false;         // ride: base loss of the experts' mean logits
    double diversity = -0.45;           // ride: factor of the diversity term; 0: off
    int reweight_epoch = 160;           // class weights and temperatures hold from the next epoch on; -1: never
    double reweight_factor = 0.05;      // gamma of eq. 3
    double base_temperature = 1;        // eta of eq. 3
    double max_margin = 0.5;            // ldam: of the rarest class
    double ldam_scale = 30;             // ldam: margins are multiplied by it
    double focal_gamma = 1;
    bool drw = true;             // class weights after reweight_epoch
    double beta = 0.9999;        // drw: weight (1 - beta) / (1 - beta^n)
    double label_smoothing = 0;  // ce
    bool operator==(const Loss&) const = default;
  } loss;

  struct Distill {
    double weight = 0;  // 0: off
    double temperature = 1.5;
    int teacher_experts = 6;
    bool operator==(const Distill&) const = default;
  } distill;

  struct Optim {
    double lr = 0.1;
    double momentum = 0.9;
    bool nesterov = true;
    double weight_decay = 5e-4;
    bool operator==(const Optim&) const = default;
  } optim;

  struct Schedule {
    int epochs = 200;
    std::string kind = "multi-step";  // or cosine
    std::vector<int> milestones = {160, 180};
    double gamma = 0.01;
    int warmup_epochs = 5;
    int evaluate_every = 1;  // epochs between two looks at the test set; the last epoch has one always
    bool operator==(const Schedule&) const = default;
  } schedule;

  struct Route {  // stage 2: expert assignment
    int epochs = 5;
    int batch = 512;
    double lr = 0.01;
    double momentum = 0.9;
    bool nesterov = true;
    double weight_decay = 5e-4;
    double pos_weight = 100;
    int top_choices = 30;
    int hidden = 16;
    std::string variant = "reference";  // or paper
    double threshold = 0.5;
    bool operator==(const Route&) const = default;
  } route;

  bool operator==(const Recipe&) const = default;
};

// Reads a recipe file over the defaults, then applies `overrides` ("loss.diversity=-0.2"; `imbalance`, `epochs`,
// `experts`, `lr` and `batch` are short for the full keys). Throws RecipeError with the key, the file and line (or the
// override), what is allowed and the nearest known key; engine::Error where the file can't be read.
Recipe load_recipe(const std::string& path, const std::vector<std::string>& overrides = {});

// As load_recipe for a text; `origin` stands for the file's name in errors.
Recipe parse_recipe(std::string_view text, const std::string& origin, const std::vector<std::string>& overrides = {});

// The recipe with every key, its meaning behind it as a comment; parse_recipe gives an equal one back.
std::string to_toml(const Recipe& recipe);

// Makes the run `epochs` long: milestones and the re-weighting epoch move in proportion (160 and 180 of 200 become 24
// and 27 of 30), the warm-up stays. Returns a line "schedule.epochs 200 -> 30" for each key that changed.
std::vector<std::string> scale_epochs(Recipe& recipe, int epochs);

// Classes of the model: model.classes, or what the data set is known to have; 0 where only the data tell (folder,
// list).
int classes_of(const Recipe& recipe);

}  // namespace ride
