// Batches that a loader gives out on the device, beside the CPU's: the same bits.
#include "data/loader.h"

#include <bit>

#include "engine/kernels/step_graph.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/shape_ops.h"
#include "tests/parity/parity.h"
#include "tests/parity/training.h"

using namespace engine;
using namespace engine::test;

namespace {

// Images of random bytes of ten classes in turn.
std::shared_ptr<const data::Dataset> random_set(int64_t images, int channels, int height, int width) {
  data::MemoryDataset::Content content{.name = "random",
                                       .channels = channels,
                                       .height = height,
                                       .width = width,
                                       .pixels = {},
                                       .labels = {},
                                       .class_names = data::numbered_names(10)};
  Generator random(11);
  content.pixels.resize(static_cast<std::size_t>(images) * channels * height * width);
  for (uint8_t& pixel : content.pixels) pixel = static_cast<uint8_t>(random.below(256));
  for (int64_t i = 0; i < images; ++i) content.labels.push_back(i % 10);
  return std::make_shared<data::MemoryDataset>(std::move(content));
}

data::Loader loader_on(Device device, std::shared_ptr<const data::Dataset> set, const data::Transform& transform,
                       data::LoaderOptions options) {
  options.device = device;
  const auto sampler = std::make_shared<data::ShuffledSampler>(set->size(), 9);
  return data::Loader(std::move(set), sampler, transform, options);
}

// All batches, before any of them is looked at: on a device the host runs ahead.
std::vector<data::Batch> batches_of(const data::Loader& loader, int64_t epoch, int64_t first = 0) {
  std::vector<data::Batch> batches;
  for (const data::Batch& batch : loader.epoch(epoch, first)) batches.push_back(batch);
  return batches;
}

std::vector<uint32_t> bits(const Tensor& x) {
  std::vector<uint32_t> out;
  for (const float value : x.to<float>()) out.push_back(std::bit_cast<uint32_t>(value));
  return out;
}

void check_batch(const data::Batch& got, const data::Batch& wanted, Device device) {
  CHECK(got.images.device() == device);
  CHECK(got.labels.device() == device);
  CHECK(got.images.strides() == wanted.images.strides());
  CHECK(bits(got.images) == bits(wanted.images));
  CHECK(got.labels.to<int64_t>() == wanted.labels.to<int64_t>());
  CHECK(got.indices == wanted.indices);
}

void check_batches(const std::vector<data::Batch>& got, const std::vector<data::Batch>& wanted, Device device) {
  REQUIRE(got.size() == wanted.size());
  for (std::size_t i = 0; i < wanted.size(); ++i) check_batch(got[i], wanted[i], device);
}

}  // namespace

TEST_CASE("parity: a loader's batches are the same images on the device") {
  DEVICE_OR_SKIP(device);
  const data::Transform transforms[] = {
      data::make_transform(data::Augment{}),
      data::make_transform(data::Augment{.crop_padding = 1, .flip = false, .rotation_degrees = 180}),
      data::make_transform(data::Normalize{})};
  for (const auto& set : {random_set(23, 3, 12, 9), random_set(9, 1, 1, 1), random_set(6, 3, 32, 32)})
    for (const data::Transform& transform : transforms)
      for (const MemoryFormat format : {MemoryFormat::channels_last, MemoryFormat::contiguous})
        for (const int threads : {0, 3}) {
          const data::LoaderOptions options{.batch_size = 5, .threads = threads, .seed = 4, .format = format};
          const data::Loader here = loader_on({}, set, transform, options);
          const data::Loader there = loader_on(device, set, transform, options);
          check_batches(batches_of(there, 1), batches_of(here, 1), device);
          check_batches(batches_of(there, 2, 1), batches_of(here, 2, 1), device);  // resumed within an epoch
        }
}

TEST_CASE("parity: training on a loader's batches") {
  DEVICE_OR_SKIP(device);
  const auto set = random_set(24, 3, 8, 8);
  const auto transform = data::make_transform(data::Augment{.crop_padding = 1});
  const data::LoaderOptions options{.batch_size = 8, .threads = 2, .seed = 1};
  const std::vector<data::Batch> wanted = batches_of(loader_on({}, set, transform, options), 0);
  Training here({}), there(device);
  std::size_t step = 0;
  for (const data::Batch& batch : loader_on(device, set, transform, options).epoch(0)) {
    check_batch(batch, wanted[step], device);
    const double loss = here.step(wanted[step].images, wanted[step].labels);
    const double got = there.step(batch.images, batch.labels);
    // As training_test.cpp's: rounding in the first step, gradients that it turned later on.
    CHECK(std::abs(got - loss) <= (step == 0 ? 1e-5 : 0.01) * std::abs(loss));
    ++step;
  }
  CHECK(step == 3);
}

TEST_CASE("parity: a recorded step finds a loader's batches where it reads them") {
  DEVICE_OR_SKIP(device);
  const auto set = random_set(30, 3, 8, 8);
  const auto transform = data::make_transform(data::Augment{});
  const data::LoaderOptions options{.batch_size = 5};
  const std::vector<data::Batch> wanted = batches_of(loader_on({}, set, transform, options), 0);
  StepGraph graph(device);
  Tensor images, doubled;
  std::size_t step = 0;
  for (const data::Batch& batch : loader_on(device, set, transform, options).epoch(0)) {
    if (!images.defined()) {
      images = empty_like(batch.images);
      doubled = empty_like(batch.images);
    }
    copy_into(batch.images, images);
    graph.run([&] { copy_into(images + images, doubled); });
    CHECK(bits(doubled) == bits(wanted[step].images + wanted[step].images));
    ++step;
  }
  CHECK(step == 6);
  CHECK(graph.recorded());
}
