// ride-data: looks at data sets and draws their long-tailed subsets.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "apps/common/program.h"
#include "apps/common/table.h"
#include "data/long_tail.h"
#include "data/open.h"
#include "ride/metrics/splits.h"

namespace {

struct Options {
  std::string dataset = "cifar100", data, profile = "exponential";
  double imbalance = 100;
  int64_t largest = 0, draw_seed = 0;
};

data::LongTail tail_of(const Options& options) {
  return {.imbalance = options.imbalance,
          .largest = options.largest,
          .profile = data::profile_named(options.profile),
          .seed = static_cast<uint32_t>(options.draw_seed)};
}

// One line "index label" per image, in the order of the draw.
int print_draw(const Options& options) {
  const data::Split sets = data::open(options.dataset, options.data);
  const std::vector<int64_t> indices = data::draw(*sets.train, tail_of(options));
  for (int64_t index : indices) fmt::print("{} {}\n", index, sets.train->label(index));
  fmt::print(stderr, "{} images of {} classes, draw {}\n", indices.size(), sets.train->num_classes(),
             data::draw_hash(indices));
  return 0;
}

int describe(const Options& options) {
  const data::Split sets = data::open(options.dataset, options.data);
  const data::Subset drawn(sets.train, data::draw(*sets.train, tail_of(options)));
  const std::vector<int64_t> counts = data::class_counts(drawn);
  const data::Image image = sets.train->image(0);
  fmt::print("{}: {} images, {}: {} images; ({}, {}, {}) the first\n", sets.train->name(), sets.train->size(),
             sets.test->name(), sets.test->size(), image.channels, image.height, image.width);
  if (tail_of(options).draws())
    fmt::print("long-tailed, imbalance {}: {} images, draw {}\n", options.imbalance, drawn.size(),
               data::draw_hash(drawn.indices()));
  fmt::print("classes by split: ");
  for (ride::Split split : ride::all_splits)
    fmt::print("{} {} (paper's rule {})  ", ride::name(split), ride::classes_in(split, counts).size(),
               ride::classes_in(split, counts, ride::Variant::paper).size());
  fmt::print("\n");
  apps::Table table({"class", "label", "images", "split"});
  for (std::size_t c = 0; c < counts.size(); ++c)
    table.add({drawn.class_names()[c], std::to_string(c), std::to_string(counts[c]),
               std::string(ride::name(ride::split_of(counts[c])))});
  fmt::print("{}", table.str());
  return 0;
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--dataset", options.dataset, "cifar100, cifar10, fashion-mnist, folder or list")
      ->check(CLI::IsMember(data::dataset_names()))
      ->capture_default_str();
  app.add_option("--data", options.data, "its folder; not needed where the set has a default one (fashion-mnist)");
  app.add_option("--imbalance", options.imbalance, "largest over smallest class; 1 without --largest: all images")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  app.add_option("--profile", options.profile, "exponential or step")
      ->check(CLI::IsMember({"exponential", "step"}))
      ->capture_default_str();
  app.add_option("--largest", options.largest, "images of class 0; 0: all there are")->check(CLI::NonNegativeNumber);
  app.add_option("--draw-seed", options.draw_seed, "of the draw")
      ->check(CLI::Range(int64_t{0}, int64_t{4294967295}))
      ->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"Looks at data sets and draws their long-tailed subsets."};
  app.require_subcommand(1);
  CLI::App* draw = app.add_subcommand("draw", "print the drawn images as `index label` lines");
  CLI::App* about = app.add_subcommand("describe", "print sizes, classes and the split of every class");
  add_options(*draw, options);
  add_options(*about, options);
  CLI11_PARSE(app, argc, argv);
  return apps::run_program([&] { return draw->parsed() ? print_draw(options) : describe(options); });
}
