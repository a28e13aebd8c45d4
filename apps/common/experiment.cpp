#include "apps/common/experiment.h"

#include <algorithm>

#include "data/folder.h"
#include "data/long_tail.h"
#include "data/open.h"
#include "data/sampler.h"
#include "data/transforms.h"

namespace apps {
namespace {

// Streams of the run's seed, one per use, so that no part's draws depend on how many another part made.
enum Stream : uint64_t { weights = 1, assignment_weights = 2 };

engine::Generator generator(const ride::Recipe& recipe, Stream stream) {
  return engine::Generator(static_cast<uint64_t>(recipe.seed), stream);
}

std::array<float, 3> floats(const std::array<double, 3>& values) {
  return {static_cast<float>(values[0]), static_cast<float>(values[1]), static_cast<float>(values[2])};
}

std::shared_ptr<const data::Sampler> make_sampler(const std::string& name, const data::Dataset& dataset,
                                                  uint64_t seed) {
  if (name == "class-balanced") return std::make_shared<data::ClassBalancedSampler>(dataset, seed);
  if (name == "square-root") return std::make_shared<data::SquareRootSampler>(dataset, seed);
  return std::make_shared<data::ShuffledSampler>(dataset.size(), seed);
}

// Images of other sizes are brought to the one that the network sees.
std::shared_ptr<const data::Dataset> fitted(const ride::Recipe& recipe, std::shared_ptr<const data::Dataset> dataset) {
  return std::make_shared<data::Resized>(std::move(dataset),
                                         data::ImageSize{recipe.data.image_size, recipe.data.image_size});
}

}  // namespace

engine::DType precision_of(const ride::Recipe& recipe) {
  return recipe.precision == "bf16" ? engine::DType::bf16 : engine::DType::f32;
}

std::unique_ptr<ride::ResNetCifar> make_model(const ride::Recipe& recipe, int64_t classes, engine::Device device) {
  engine::Generator random = generator(recipe, weights);
  const auto classifier = recipe.model.classifier == "linear" ? ride::Classifier::linear : ride::Classifier::cosine;
  const std::optional<engine::MemoryFormat> format = engine::memory_format_named(recipe.model.format);  // none: auto
  auto model =
      std::make_unique<ride::ResNetCifar>(ride::ResNetCifarOptions{.classes = classes,
                                                                   .experts = recipe.model.experts,
                                                                   .reduce_dimension = recipe.model.reduce_dimension,
                                                                   .classifier = classifier,
                                                                   .scale = recipe.model.scale,
                                                                   .format = format},
                                          random);
  model->to(device);
  return model;
}

std::unique_ptr<ride::ExpertAssignment> make_assignment(const ride::Recipe& recipe, const ride::ResNetCifar& model) {
  engine::Generator random = generator(recipe, assignment_weights);
  auto assignment =
      std::make_unique<ride::ExpertAssignment>(ride::ExpertAssignmentOptions{.experts = model.experts(),
                                                                             .features = model.feature_dimension(),
                                                                             .classes = model.options().classes,
                                                                             .top_choices = recipe.route.top_choices,
                                                                             .hidden = recipe.route.hidden},
                                               random);
  assignment->to(model.device());
  return assignment;
}

std::string ExperimentData::summary() const {
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  return fmt::format("{}: {} images of {} classes ({} to {} each{}); {}: {} images", train->name(), train->size(),
                     classes(), *most, *least, draw_hash.empty() ? "" : ", draw " + draw_hash, test->name(),
                     test->size());
}

ExperimentData open_data(const ride::Recipe& recipe, const std::string& folder) {
  data::Split split = data::open(recipe.data.dataset, folder);
  ExperimentData out;
  out.train = fitted(recipe, split.train);
  out.test = fitted(recipe, split.test);
  out.counts = data::class_counts(*out.train);
  const data::LongTail tail{.imbalance = recipe.data.imbalance,
                            .largest = recipe.data.largest,
                            .profile = data::profile_named(recipe.data.imbalance_profile),
                            .seed = static_cast<uint32_t>(recipe.data.draw_seed)};
  if (tail.draws()) {
    const std::vector<int64_t> indices = data::draw(*out.train, tail);
    out.draw_hash = data::draw_hash(indices);
    out.train = std::make_shared<data::Subset>(out.train, indices);
    out.counts = data::class_counts(*out.train);
  }
  engine::check(recipe.model.classes == 0 || recipe.model.classes == out.classes(), "data",
                "model.classes is {}, but {} has {} classes", recipe.model.classes, out.train->name(), out.classes());
  return out;
}

data::Loader train_loader(const ride::Recipe& recipe, const ExperimentData& data, const LoaderChoice& choice) {
  const auto seed = static_cast<uint64_t>(recipe.seed);
  const std::string& sampler = choice.sampler.empty() ? recipe.data.sampler : choice.sampler;
  return data::Loader(data.train, make_sampler(sampler, *data.train, seed),
                      data::make_transform(data::Augment{.crop_padding = recipe.augment.crop_padding,
                                                         .flip = recipe.augment.flip,
                                                         .rotation_degrees = recipe.augment.rotation,
                                                         .mean = floats(recipe.augment.mean),
                                                         .std = floats(recipe.augment.std)}),
                      {.batch_size = choice.batch ? choice.batch : recipe.data.batch,
                       .threads = choice.threads,
                       .seed = seed,
                       .device = choice.device});
}

data::Transform test_transform(const ride::Recipe& recipe) {
  return data::make_transform(data::Normalize{floats(recipe.augment.mean), floats(recipe.augment.std)});
}

data::Loader test_loader(const ride::Recipe& recipe, const ExperimentData& data, int threads, engine::Device device) {
  return data::Loader(data.test, std::make_shared<data::SequentialSampler>(data.test->size()), test_transform(recipe),
                      {.batch_size = 256, .threads = threads, .device = device});
}

engine::LrSchedule schedule_of(const ride::Recipe& recipe) {
  const bool cosine = recipe.schedule.kind == "cosine";
  return {.lr = recipe.optim.lr,
          .kind = cosine ? engine::LrSchedule::Kind::cosine : engine::LrSchedule::Kind::multi_step,
          .steps = {recipe.schedule.milestones.begin(), recipe.schedule.milestones.end()},
          .gamma = recipe.schedule.gamma,
          .epochs = recipe.schedule.epochs,
          .warmup_epochs = recipe.schedule.warmup_epochs};
}

ModelState split_state(const engine::Checkpoint& checkpoint) {
  ModelState state;
  for (const auto& [name, tensor] : checkpoint.model)
    (name.find("expert_help_pred") != std::string::npos ? state.assignment : state.network).emplace_back(name, tensor);
  return state;
}

engine::StateDict joined_state(const ride::ResNetCifar& model, const ride::ExpertAssignment* assignment) {
  engine::StateDict state = model.state_dict();
  if (assignment)
    for (const auto& entry : assignment->state_dict()) state.push_back(entry);
  return state;
}

}  // namespace apps
