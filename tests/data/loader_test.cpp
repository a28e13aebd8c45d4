#include <atomic>

#include "data/loader.h"
#include "tests/data/support.h"

namespace {

using data::Batch;
using data::Loader;
using data::LoaderOptions;

struct Seen {
  std::vector<float> images;
  std::vector<int64_t> labels, indices;
  std::vector<int64_t> batch_sizes;
  bool operator==(const Seen&) const = default;
};

Seen walk(const Loader& loader, int64_t epoch, int64_t first_batch = 0) {
  Seen seen;
  for (const Batch& batch : loader.epoch(epoch, first_batch)) {
    const auto images = batch.images.to<float>();
    const auto labels = batch.labels.to<int64_t>();
    seen.images.insert(seen.images.end(), images.begin(), images.end());
    seen.labels.insert(seen.labels.end(), labels.begin(), labels.end());
    seen.indices.insert(seen.indices.end(), batch.indices.begin(), batch.indices.end());
    seen.batch_sizes.push_back(batch.images.size(0));
  }
  return seen;
}

Loader loader_of(std::shared_ptr<const data::Dataset> set, LoaderOptions options) {
  auto sampler = std::make_shared<data::ShuffledSampler>(set->size(), 9);
  return Loader(set, sampler, data::make_transform(data::Augment{}), options);
}

TEST_CASE("loader: batches, their shapes and the smaller last one") {
  const auto set = test::numbered_set({7, 6, 10}, 8, 6);
  const auto sampler = std::make_shared<data::SequentialSampler>(set->size());
  const Loader loader(set, sampler, data::make_transform(data::Normalize{{0, 0, 0}, {1, 1, 1}}), {.batch_size = 5});
  CHECK(loader.batches() == 5);
  int64_t next = 0, number = 0;
  for (Batch batch : loader.epoch(0)) {
    const int64_t n = number++ < 4 ? 5 : 3;
    CHECK(batch.images.shape() == engine::Shape{n, 3, 8, 6});
    CHECK(batch.images.is_dense(engine::MemoryFormat::channels_last));
    CHECK(batch.labels.shape() == engine::Shape{n});
    const auto values = batch.images.to<float>();
    const auto labels = batch.labels.to<int64_t>();
    for (int64_t i = 0; i < n; ++i, ++next) {
      CHECK(batch.indices[i] == next);
      CHECK(labels[i] == set->label(next));
      const auto image = set->image(next);
      for (int64_t k = 0; k < image.bytes(); ++k) REQUIRE(values[i * image.bytes() + k] == image.pixels[k] / 255.0f);
    }
  }
  CHECK(next == 23);
  const Loader dropping(set, sampler, data::make_transform(data::Normalize{}), {.batch_size = 5, .drop_last = true});
  CHECK(dropping.batches() == 4);
  CHECK(walk(dropping, 0).batch_sizes == std::vector<int64_t>{5, 5, 5, 5});
}

TEST_CASE("loader: any number of threads gives the same images in the same order") {
  const auto set = test::numbered_set({90, 41});
  const Seen expected = walk(loader_of(set, {.batch_size = 8, .threads = 0, .seed = 4}), 2);
  CHECK(expected.labels.size() == 131);
  for (const int threads : {1, 2, 4, 9}) {
    CAPTURE(threads);
    CHECK(walk(loader_of(set, {.batch_size = 8, .threads = threads, .seed = 4, .prefetch = 3}), 2) == expected);
  }
  const auto contiguous = engine::MemoryFormat::contiguous;
  CHECK(walk(loader_of(set, {.batch_size = 8, .threads = 4, .seed = 4, .prefetch = 1, .format = contiguous}), 2) ==
        expected);
  CHECK(walk(loader_of(set, {.batch_size = 8, .seed = 5}), 2).images != expected.images);
  CHECK(walk(loader_of(set, {.batch_size = 8, .seed = 4}), 3).images != expected.images);
}

TEST_CASE("loader: an epoch resumed at a later batch") {
  const auto set = test::numbered_set({50});
  const Loader loader = loader_of(set, {.batch_size = 8, .threads = 2, .seed = 4});
  const Seen whole = walk(loader, 1), rest = walk(loader, 1, 4);
  CHECK(rest.batch_sizes == std::vector<int64_t>{8, 8, 2});
  CHECK(rest.indices == std::vector<int64_t>(whole.indices.begin() + 32, whole.indices.end()));
  CHECK(rest.images == std::vector<float>(whole.images.begin() + 32 * 192, whole.images.end()));
  CHECK(walk(loader, 1, 7).indices.empty());
  CHECK_ERROR(loader.epoch(0, 8), "from batch 8", "7 batches");
}

// Says the same index over and over.
struct OneImage : data::Sampler {
  int64_t size() const override { return 6; }
  std::vector<int64_t> epoch_indices(int64_t) const override { return std::vector<int64_t>(6, index); }
  explicit OneImage(int64_t i) : index(i) {}
  int64_t index;
};

TEST_CASE("loader: an image drawn several times in an epoch is augmented differently each time") {
  const auto set = test::numbered_set({3}, 32, 32);
  const Loader loader(set, std::make_shared<OneImage>(1), data::make_transform(data::Augment{}), {.batch_size = 2});
  const Seen seen = walk(loader, 0);
  const auto image = [&](int i) {
    return std::vector<float>(seen.images.begin() + i * 3072, seen.images.begin() + (i + 1) * 3072);
  };
  for (int i = 1; i < 6; ++i) CHECK(image(0) != image(i));
}

// Fails to read one image; counts how many were read.
class Breaking : public data::Subset {
 public:
  using Subset::Subset;
  data::Image image(int64_t i) const override {
    ++reads;
    if (i == 13) engine::fail("test", "image 13 is broken");
    return Subset::image(i);
  }
  mutable std::atomic<int> reads = 0;
};

std::vector<int64_t> first_indices(int64_t n) { return data::SequentialSampler(n).epoch_indices(0); }

TEST_CASE("loader: what goes wrong in a thread reaches the caller, at its place") {
  const auto set = std::make_shared<Breaking>(test::numbered_set({40}), first_indices(40));
  for (const int threads : {0, 3}) {
    const Loader loader(set, std::make_shared<data::SequentialSampler>(40), data::make_transform(data::Normalize{}),
                        {.batch_size = 4, .threads = threads});
    data::Epoch epoch = loader.epoch(0);
    for (int batch = 0; batch < 3; ++batch) CHECK(epoch.next().has_value());
    CHECK_ERROR(epoch.next(), "image 13 is broken");
  }
}

TEST_CASE("loader: an epoch left early stops its threads, and never runs far ahead") {
  const auto set = std::make_shared<Breaking>(test::numbered_set({4000}), first_indices(4000));
  const Loader loader(set, std::make_shared<data::SequentialSampler>(4000), data::make_transform(data::Normalize{}),
                      {.batch_size = 1, .threads = 3, .prefetch = 2});
  {
    data::Epoch epoch = loader.epoch(0, 100);
    for (int batch = 0; batch < 5; ++batch) CHECK(epoch.next()->indices[0] == 100 + batch);
  }
  CHECK(set->reads <= 1 + 5 + 2);
  { const data::Epoch untouched = loader.epoch(0); }
  data::Epoch moved = [&] { return loader.epoch(0, 3998); }();
  CHECK(moved.next()->indices[0] == 3998);
}

TEST_CASE("loader: bad input") {
  const auto set = test::numbered_set({3});
  const auto plain = data::make_transform(data::Normalize{});
  const auto sampler = std::make_shared<data::SequentialSampler>(3);
  CHECK_ERROR(Loader(set, sampler, plain, {.batch_size = 0}), "batch size is 0");
  CHECK_ERROR(Loader(set, sampler, plain, {.prefetch = 0}), "prefetch is 0");
  CHECK_ERROR(Loader(set, sampler, plain, {.threads = -1}), "-1 threads");
  CHECK_ERROR(Loader(test::numbered_set({0}), sampler, plain, {}), "no images");
  CHECK_ERROR(Loader(set, std::make_shared<OneImage>(3), plain, {}).epoch(0), "index 3 is out of range", "3 images");
}

// Alternating sizes.
struct Uneven : data::Subset {
  using Subset::Subset;
  data::Image image(int64_t i) const override {
    data::Image image = Subset::image(i);
    if (i == 2) --image.height;
    return image;
  }
};

TEST_CASE("loader: images of different sizes") {
  const auto set = std::make_shared<Uneven>(test::numbered_set({3}), std::vector<int64_t>{0, 1, 2});
  const Loader loader(set, std::make_shared<data::SequentialSampler>(3), data::make_transform(data::Normalize{}), {});
  CHECK_ERROR(walk(loader, 0), "image 2", "(3, 7, 8)", "(3, 8, 8)", "resize");
}

}  // namespace
