#include "ride/recipe.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "engine/io/atomic_file.h"
#include "ride/recipe_fields.h"
#include "tests/error_of.h"
#include "tests/temporary_folder.h"

using namespace ride;

namespace {

std::string recipe_error(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse_recipe(text, "test.toml", overrides);
  } catch (const RecipeError& error) {
    return error.what();
  }
  return {};
}

void check_error(const std::string& error, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) CHECK_MESSAGE(contains(error, part), part << " in: " << error);
}

Recipe shipped(const std::string& name) {
  return load_recipe(std::string(RIDE_SOURCE_ROOT) + "/apps/recipes/" + name + ".toml");
}

}  // namespace

TEST_CASE("recipe: the command line beats the file, the file beats the defaults") {
  CHECK(parse_recipe("", "empty.toml") == Recipe());
  const std::string text = "seed = 7\n[loss]\ndiversity = -0.1\n[schedule]\nepochs = 40\nmilestones = [20, 30]\n";
  const Recipe recipe = parse_recipe(text, "test.toml", {"loss.diversity=-0.2", "augment.mean=[0.1, 0.2, 1]"});
  Recipe expected;
  expected.seed = 7;
  expected.loss.diversity = -0.2;
  expected.augment.mean = {0.1, 0.2, 1};
  expected.schedule.epochs = 40;
  expected.schedule.milestones = {20, 30};
  CHECK(recipe == expected);
}

TEST_CASE("recipe: dotted keys in the file, short keys and unquoted texts on the command line") {
  CHECK(parse_recipe("loss.type = \"ldam\"", "test.toml").loss.type == "ldam");
  const Recipe recipe = parse_recipe("", "test.toml",
                                     {"imbalance=50", "epochs=30", "experts=2", "lr=0.05", "batch=64", "seed=3",
                                      "loss.type=ce", "name=12", "optim.nesterov=false"});
  CHECK(recipe.data.imbalance == 50);
  CHECK(recipe.schedule.epochs == 30);
  CHECK(recipe.model.experts == 2);
  CHECK(recipe.optim.lr == 0.05);
  CHECK(recipe.data.batch == 64);
  CHECK(recipe.seed == 3);
  CHECK(recipe.loss.type == "ce");
  CHECK(recipe.name == "12");
  CHECK(parse_recipe("", "test.toml", {"name=\"with space\""}).name == "with space");
  CHECK_FALSE(recipe.optim.nesterov);
}

TEST_CASE("recipe: every key is printed and reads back equal") {
  CHECK(parse_recipe(to_toml(Recipe()), "printed.toml") == Recipe());
  Recipe recipe = shipped("cifar100-lt/ldam-drw");
  recipe.name = "quotes \" and \\ and\nlines \x01 ✓";
  recipe.optim.weight_decay = 1e-7;
  recipe.loss.diversity = 1.0 / 3;
  recipe.schedule.milestones = {};
  recipe.data.draw_seed = 4294967295;
  const std::string text = to_toml(recipe);
  CHECK(parse_recipe(text, "printed.toml") == recipe);
  for (const Field& field : fields_of(recipe)) {
    CAPTURE(field.key);
    CHECK(contains(text, fmt::format("\n{} = ", field.last())) != (field.key == "name"));
    CHECK((field.section().empty() || contains(text, fmt::format("[{}]\n", field.section()))));
  }
}

TEST_CASE("recipe: unknown keys name the line and the nearest known key") {
  check_error(recipe_error("seed = 1\n\n[loss]\ndivrsity = -0.2\n"),
              {"test.toml:4", "unknown key \"loss.divrsity\"", "nearest known key is \"loss.diversity\""});
  check_error(recipe_error("sed = 1"), {"test.toml:1", "\"sed\"", "\"seed\""});
  check_error(recipe_error("[model]\nepochs = 3"), {"test.toml:2", "\"model.epochs\"", "epochs\""});
  check_error(recipe_error("epochs = 3"), {"test.toml:1", "\"epochs\"", "\"schedule.epochs\""});
  check_error(recipe_error("[los]\ntype = \"ce\""), {"test.toml:1", "unknown table [los]", "[loss]"});
  check_error(recipe_error("", {"loss.divrsity=1"}), {"--set loss.divrsity=1", "\"loss.diversity\""});
  check_error(recipe_error("", {"loss"}), {"--set loss", "key=value"});
}

TEST_CASE("recipe: wrong types and ranges say what is allowed") {
  check_error(recipe_error("[model]\nexperts = 9"), {"test.toml:2", "model.experts = 9", "an integer >= 1 and <= 8"});
  check_error(recipe_error("[model]\n\nexperts = \"3\""), {"test.toml:3", "model.experts", "an integer"});
  check_error(recipe_error("[model]\nexperts = 3.0"), {"model.experts = 3.0", "an integer"});
  check_error(recipe_error("[data]\nbatch = 4294967424"), {"data.batch", "an integer >= 1"});
  check_error(recipe_error("[data]\nimbalance = 0.5"), {"data.imbalance = 0.5", "a number >= 1"});
  check_error(recipe_error("[data]\nimbalance = nan"), {"data.imbalance = nan", "a number >= 1"});
  check_error(recipe_error("[optim]\nlr = 0"), {"optim.lr = 0", "a number > 0"});
  check_error(recipe_error("[optim]\nlr = true"), {"optim.lr = true", "a number > 0"});
  check_error(recipe_error("[loss]\nbeta = 1"), {"loss.beta = 1", "a number >= 0 and < 1"});
  check_error(recipe_error("[loss]\ndrw = 1"), {"loss.drw = 1", "true or false"});
  check_error(recipe_error("[loss]\ntype = \"cross\""), {"loss.type", "\"ce\", \"focal\", \"ldam\", \"ride\""});
  check_error(recipe_error("[loss]\ntype = 3"), {"loss.type = 3", "one of"});
  check_error(recipe_error("[schedule]\nmilestones = [180, 160]"),
              {"schedule.milestones", "a rising list of integers >= 0"});
  check_error(recipe_error("[schedule]\nmilestones = 160"), {"schedule.milestones = 160", "a rising list"});
  check_error(recipe_error("[augment]\nmean = [0.5, 0.5]"), {"augment.mean", "a list of three numbers"});
  check_error(recipe_error("[augment]\nstd = [0.5, 0.5, 0]"), {"augment.std", "a list of three numbers > 0"});
  check_error(recipe_error("loss = 3"), {"test.toml:1", "must be a table"});
  check_error(recipe_error("precision = \"fp8\""), {"precision = 'fp8'", "one of \"f32\", \"bf16\""});
  check_error(recipe_error("[seed]\nx = 1"), {"test.toml:1", "seed", "an integer >= 0"});
  check_error(recipe_error("", {"lr=fast"}), {"--set lr=fast", "optim.lr", "a number > 0"});
}

TEST_CASE("recipe: broken TOML, missing files and keys that exclude each other") {
  check_error(recipe_error("seed = 1\nseed = 2\n"), {"test.toml:2", "seed"});
  check_error(recipe_error("seed = \n"), {"test.toml:1"});
  check_error(recipe_error("[loss]\nindividual = false\n"), {"loss.individual", "loss.collaborative"});
  CHECK(recipe_error("[loss]\nindividual = false\ncollaborative = true\n").empty());
  check_error(recipe_error("[model]\nclasses = 10\n"), {"model.classes = 10", "cifar100 has 100"});
  check_error(error_of([] { load_recipe("/nowhere/x.toml"); }), {"/nowhere/x.toml", "No such file"});
}

TEST_CASE("recipe: --epochs moves every epoch number in proportion, the warm-up stays") {
  Recipe recipe;
  CHECK(scale_epochs(recipe, 30) == std::vector<std::string>{"loss.reweight_epoch 160 -> 24",
                                                             "schedule.epochs 200 -> 30",
                                                             "schedule.milestones [160, 180] -> [24, 27]"});
  CHECK(recipe.schedule.milestones == std::vector<int>{24, 27});
  CHECK(recipe.schedule.warmup_epochs == 5);
  CHECK(recipe.loss.reweight_epoch == 24);
  CHECK(recipe.route.epochs == 5);
  CHECK(scale_epochs(recipe, 30).empty());
  recipe.loss.reweight_epoch = -1;
  scale_epochs(recipe, 400);
  CHECK(recipe.schedule.milestones == std::vector<int>{320, 360});
  CHECK(recipe.loss.reweight_epoch == -1);
  CHECK_THROWS_AS(scale_epochs(recipe, 0), RecipeError);
}

TEST_CASE("recipe: classes come from the recipe, the data set's name, or the data") {
  CHECK(classes_of(parse_recipe("", "x")) == 100);
  CHECK(classes_of(parse_recipe("data.dataset = \"fashion-mnist\"", "x")) == 10);
  CHECK(classes_of(parse_recipe("data.dataset = \"folder\"", "x")) == 0);
  CHECK(classes_of(parse_recipe("data.dataset = \"folder\"\nmodel.classes = 7", "x")) == 7);
}

TEST_CASE("recipes that come with the project") {
  int files = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(std::string(RIDE_SOURCE_ROOT) + "/apps/recipes")) {
    if (entry.path().extension() != ".toml") continue;
    const Recipe recipe = load_recipe(entry.path().string());
    CHECK(recipe.name == entry.path().parent_path().filename().string() + "/" + entry.path().stem().string());
    CHECK(recipe.seed == 1);
    ++files;
  }
  CHECK(files >= 13);

  // The authors' configuration is the defaults: RIDE-3 differs in its name alone.
  Recipe ride3;
  ride3.name = "cifar100-lt/ride-3";
  CHECK(shipped("cifar100-lt/ride-3") == ride3);
  for (const int experts : {2, 3, 4}) {
    Recipe distilled = ride3;
    distilled.name = fmt::format("cifar100-lt/ride-{}-distill", experts);
    distilled.model.experts = experts;
    distilled.distill.weight = 1;
    distilled.schedule.warmup_epochs = 20;
    CHECK(shipped(distilled.name) == distilled);
  }
  for (const int experts : {2, 4, 6}) {
    Recipe other = ride3;
    other.name = fmt::format("cifar100-lt/ride-{}", experts);
    other.model.experts = experts;
    CHECK(shipped(other.name) == other);
  }

  // The LDAM-DRW protocol: full width, one expert, crop and flip alone, no Nesterov, weight decay 2e-4.
  for (const char* name : {"ce", "focal", "ldam", "ldam-drw"}) {
    const Recipe recipe = shipped(std::string("cifar100-lt/") + name);
    CAPTURE(name);
    CHECK(recipe.model.experts == 1);
    CHECK_FALSE(recipe.model.reduce_dimension);
    CHECK(recipe.augment.rotation == 0);
    CHECK(recipe.optim.weight_decay == 2e-4);
    CHECK_FALSE(recipe.optim.nesterov);
    CHECK(recipe.loss.drw == (std::string(name) == "ldam-drw"));
    CHECK(recipe.model.classifier == (std::string(name).starts_with("ldam") ? "cosine" : "linear"));
  }
}
