// ride-data: looks at data sets and draws their long-tailed subsets.
#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <algorithm>

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

struct Draw {
  std::shared_ptr<const data::Dataset> train, test;
  std::vector<int64_t> counts, indices;
};

Draw draw_of(const Options& options) {
  const data::Split split = data::open(options.dataset, options.data);
  Draw draw{split.train, split.test, data::class_counts(*split.train), {}};
  if (options.imbalance == 1 && options.largest == 0) return draw;
  const int64_t largest = options.largest ? options.largest : *std::max_element(draw.counts.begin(), draw.counts.end());
  draw.counts = data::long_tail_counts(split.train->num_classes(), largest, options.imbalance,
                                       options.profile == "step" ? data::Profile::step : data::Profile::exponential);
  draw.indices = data::draw_long_tail(*split.train, draw.counts, static_cast<uint32_t>(options.draw_seed));
  return draw;
}

// One line "index label" per image, in the order of the draw.
int print_draw(const Options& options) {
  const Draw draw = draw_of(options);
  for (int64_t index : draw.indices) fmt::print("{} {}\n", index, draw.train->label(index));
  fmt::print(stderr, "{} images of {} classes, draw {}\n", draw.indices.size(), draw.counts.size(),
             data::draw_hash(draw.indices));
  return 0;
}

int describe(const Options& options) {
  const Draw draw = draw_of(options);
  const data::Image image = draw.train->image(0);
  int64_t total = 0;
  for (int64_t n : draw.counts) total += n;
  fmt::print("{}: {} images, {}: {} images; ({}, {}, {}) the first\n", draw.train->name(), draw.train->size(),
             draw.test->name(), draw.test->size(), image.channels, image.height, image.width);
  if (!draw.indices.empty())
    fmt::print("long-tailed, imbalance {}: {} images, draw {}\n", options.imbalance, total,
               data::draw_hash(draw.indices));
  fmt::print("classes by split: ");
  for (ride::Split split : ride::all_splits)
    fmt::print("{} {} (paper's rule {})  ", ride::name(split), ride::classes_in(split, draw.counts).size(),
               ride::classes_in(split, draw.counts, ride::Variant::paper).size());
  fmt::print("\n");
  apps::Table table({"class", "label", "images", "split"});
  for (std::size_t c = 0; c < draw.counts.size(); ++c)
    table.add({draw.train->class_names()[c], std::to_string(c), std::to_string(draw.counts[c]),
               std::string(ride::name(ride::split_of(draw.counts[c])))});
  fmt::print("{}", table.str());
  return 0;
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--dataset", options.dataset, "cifar100, cifar10, fashion-mnist, folder or list")
      ->check(CLI::IsMember(data::dataset_names()))
      ->capture_default_str();
  app.add_option("--data", options.data, "its folder");
  app.add_option("--imbalance", options.imbalance, "largest over smallest class; 1: all images")
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
