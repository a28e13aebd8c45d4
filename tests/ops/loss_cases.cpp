#include "engine/ops/loss.h"
#include "engine/ops/softmax.h"
#include "tests/ops/cases.h"

namespace engine::test {
namespace {

using Inputs = std::vector<Tensor>;

// Logarithms of probabilities down to e^-10, summed over up to 33 classes.
constexpr double logs = 1e-5;

struct EntropyRow {
  const char* name;
  int64_t n, classes;
  bool weight = false, soft = false;
  double smoothing = 0;
  Reduction reduction = Reduction::mean;
};

const std::vector<EntropyRow> entropy_rows = {
    {"cross_entropy", 5, 7},
    {"cross_entropy one", 1, 1},
    {"cross_entropy 33 classes", 3, 33},
    {"cross_entropy sum", 5, 7, false, false, 0, Reduction::sum},
    {"cross_entropy none", 5, 7, false, false, 0, Reduction::none},
    {"cross_entropy none of an empty batch", 0, 7, false, false, 0, Reduction::none},
    {"cross_entropy sum of an empty batch", 0, 7, false, false, 0.1, Reduction::sum},
    {"cross_entropy weight", 5, 7, true},
    {"cross_entropy weight sum", 5, 7, true, false, 0, Reduction::sum},
    {"cross_entropy weight none", 5, 7, true, false, 0, Reduction::none},
    {"cross_entropy smoothing", 5, 7, false, false, 0.1},
    {"cross_entropy weight smoothing", 5, 7, true, false, 0.1},
    {"cross_entropy weight smoothing none", 5, 7, true, false, 0.3, Reduction::none},
    {"cross_entropy soft", 5, 7, false, true},
    {"cross_entropy soft weight smoothing", 5, 7, true, true, 0.1},
    {"cross_entropy soft none", 3, 17, false, true, 0, Reduction::none},
    {"cross_entropy soft weight sum", 3, 17, true, true, 0, Reduction::sum},
};

void add_entropy(std::vector<Case>& cases) {
  for (const EntropyRow& row : entropy_rows) {
    std::vector<Input> inputs = {{{row.n, row.classes}, -5, 5}};
    inputs.push_back(row.soft ? Input{{row.n, row.classes}, 0, 0.4} : index_below(row.classes, {row.n}));
    if (row.weight) inputs.push_back(constant({row.classes}, 0.2, 2));
    cases.push_back({row.name, inputs,
                     [row](const Inputs& in) {
                       return cross_entropy(in[0], in[1],
                                            {.weight = in.size() > 2 ? in[2] : Tensor(),
                                             .label_smoothing = row.smoothing,
                                             .reduction = row.reduction});
                     },
                     logs});
  }
}

// Logits of all members, labels, and three values for each class.
void add_ensembles(std::vector<Case>& cases) {
  const auto add = [&](const char* name, int members, int64_t n, int64_t classes, EnsembleLossOptions options,
                       bool per_class) {
    std::vector<Input> inputs(static_cast<std::size_t>(members), {{n, classes}, -5, 5});
    inputs.push_back(index_below(classes, {n}));
    for (int i = 0; i < 3 && per_class; ++i) inputs.push_back(constant({classes}, 0.5, 2));
    cases.push_back({name,
                     inputs,
                     [=](const Inputs& in) {
                       EnsembleLossOptions o = options;
                       const auto m = static_cast<std::size_t>(members);
                       if (per_class) o.weight = in[m + 1], o.margins = in[m + 2], o.temperature = in[m + 3];
                       return ensemble_loss({in.begin(), in.begin() + members}, in[m], o).total;
                     },
                     logs,
                     // No gradient flows through the members' mean, which differences do not know.
                     {.gradient = options.divergence == 0}});
  };
  add("ensemble_loss", 3, 5, 7, {}, false);
  add("ensemble_loss of one, divergence", 1, 3, 7, {.divergence = 0.7}, true);
  add("ensemble_loss weight margins", 2, 5, 7, {.cross_entropy = 0.3}, true);
  add("ensemble_loss weight margins smoothing sum", 2, 5, 7, {.label_smoothing = 0.2, .reduction = Reduction::sum},
      true);
  add("ensemble_loss divergence", 3, 5, 7, {.divergence = -0.45}, false);
  add("ensemble_loss divergence temperature", 4, 17, 33, {.divergence = -0.45}, true);
  add("ensemble_loss of many images", 3, 130, 100, {.divergence = -0.45}, true);
}

}  // namespace

std::vector<Case> loss_cases() {
  std::vector<Case> cases;
  add_entropy(cases);
  add_ensembles(cases);
  for (auto [name, reduction] : {std::pair{"kl_div", KlReduction::batchmean},
                                 {"kl_div sum", KlReduction::sum},
                                 {"kl_div none", KlReduction::none}})
    cases.push_back({name,
                     {{{3, 7}, -5, 5}, {{3, 7}, 0.05, 0.3}},
                     [r = reduction](const Inputs& in) { return kl_div(log_softmax(in[0], 1), in[1], r); },
                     logs});
  for (auto [name, reduction] : {std::pair{"bce_with_logits", Reduction::mean},
                                 {"bce_with_logits sum", Reduction::sum},
                                 {"bce_with_logits none", Reduction::none}}) {
    cases.push_back({name,
                     {{{3, 5}, -6, 6}, {{3, 5}, 0, 1}},
                     [r = reduction](const Inputs& in) { return bce_with_logits(in[0], in[1], {.reduction = r}); },
                     logs});
    cases.push_back({fmt::format("{} pos_weight", name),
                     {{{3, 5}, -6, 6}, {{3, 5}, 0, 1}, {{5}, 0.5, 4}},
                     [r = reduction](const Inputs& in) {
                       return bce_with_logits(in[0], in[1], {.pos_weight = in[2], .reduction = r});
                     },
                     logs});
  }
  const auto normalize = [](int axis) {
    return [axis](const Inputs& in) { return l2_normalize(in[0], {.axis = axis}); };
  };
  cases.push_back({"l2_normalize", {{{5, 7}}}, normalize(1), logs});
  cases.push_back({"l2_normalize columns", {{{17, 3}}}, normalize(0), logs});
  cases.push_back({"l2_normalize one", {{{1, 1}, 0.5, 1}}, normalize(-1), logs});
  cases.push_back({"l2_normalize empty batch", {{{0, 7}}}, normalize(1), logs});
  cases.push_back({"l2_normalize channels", {{{2, 3, 5, 5}}}, normalize(1), logs});
  return cases;
}

}  // namespace engine::test
