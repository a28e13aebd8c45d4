#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "data/random_stream.h"
#include "engine/core/error.h"

namespace data {

using engine::check;

// What the threads of an epoch share. Batch b waits in slots[b % slots.size()]; a thread takes the next number only
// when that slot is free, so at most `prefetch` batches exist at a time, and they come out in order.
struct Epoch::Work {
  struct Slot {
    std::optional<Batch> batch;
    std::exception_ptr error;
    bool ready() const { return batch.has_value() || error; }
  };

  std::shared_ptr<const Dataset> dataset;
  Transform transform;
  LoaderOptions options;
  int64_t epoch = 0;
  std::vector<int64_t> indices;
  int channels = 0, height = 0, width = 0;

  std::mutex mutex;
  std::condition_variable slot_freed, batch_ready;
  std::vector<Slot> slots;
  int64_t next_to_make = 0, next_to_give = 0, end = 0;  // batch numbers
  bool stop = false;
  std::vector<std::thread> threads;

  ~Work() {
    {
      std::lock_guard lock(mutex);
      stop = true;
    }
    slot_freed.notify_all();
    for (std::thread& thread : threads) thread.join();
  }

  void start() {
    slots.resize(options.prefetch);
    const int64_t count = std::min<int64_t>({options.threads, options.prefetch, end - next_to_make});
    for (int64_t i = 0; i < count; ++i) threads.emplace_back([this] { make_batches(); });
  }

  void make_batches() {
    const int64_t slot_count = static_cast<int64_t>(slots.size());
    std::unique_lock lock(mutex);
    while (true) {
      slot_freed.wait(lock, [&] { return stop || next_to_make >= end || next_to_make < next_to_give + slot_count; });
      if (stop || next_to_make >= end) return;
      const int64_t number = next_to_make++;
      lock.unlock();
      Slot made;
      try {
        made.batch = make_batch(number);
      } catch (...) {
        made.error = std::current_exception();
      }
      lock.lock();
      slots[number % slot_count] = std::move(made);
      batch_ready.notify_all();
    }
  }

  Batch take() {
    if (threads.empty()) return make_batch(next_to_give++);
    std::unique_lock lock(mutex);
    Slot& slot = slots[next_to_give % static_cast<int64_t>(slots.size())];
    batch_ready.wait(lock, [&] { return slot.ready(); });
    Slot taken = std::exchange(slot, {});
    ++next_to_give;  // only now: a thread may refill the slot
    lock.unlock();
    slot_freed.notify_all();
    if (taken.error) std::rethrow_exception(taken.error);
    return std::move(*taken.batch);
  }

  Batch make_batch(int64_t number) const {
    const int64_t first = number * options.batch_size;
    const int64_t count = std::min<int64_t>(options.batch_size, static_cast<int64_t>(indices.size()) - first);
    Batch batch;
    batch.indices.assign(indices.begin() + first, indices.begin() + first + count);
    batch.images = engine::Tensor::empty({count, channels, height, width}, {.format = options.format});
    batch.labels = engine::Tensor::empty({count}, {.dtype = engine::DType::i64});
    const engine::Strides strides = engine::strides_of(batch.images.shape(), options.format);
    float* images = batch.images.data<float>();
    int64_t* labels = batch.labels.data<int64_t>();
    for (int64_t i = 0; i < count; ++i) {
      const int64_t index = batch.indices[i];
      const Image image = dataset->image(index);
      check(image.channels == channels && image.height == height && image.width == width, "loader",
            "image {} of {} is ({}, {}, {}), the first one ({}, {}, {}): resize the images to one size", index,
            dataset->name(), image.channels, image.height, image.width, channels, height, width);
      engine::Generator random = generator_for(options.seed, Use::augmentation, epoch, first + i);
      transform(image, random, {images + i * strides[0], strides[1], strides[2], strides[3]});
      labels[i] = dataset->label(index);
    }
    return batch;
  }
};

Epoch::Epoch(std::unique_ptr<Work> work) : work_(std::move(work)) {}
Epoch::Epoch(Epoch&&) noexcept = default;
Epoch::~Epoch() = default;

std::optional<Batch> Epoch::next() {
  if (work_->next_to_give >= work_->end) return std::nullopt;
  return work_->take();
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Sampler> sampler, Transform transform,
               LoaderOptions options)
    : dataset_(std::move(dataset)), sampler_(std::move(sampler)), transform_(std::move(transform)), options_(options) {
  check(dataset_ && sampler_ && transform_, "loader", "expected a dataset, a sampler and a transform");
  check(dataset_->size() > 0, "loader", "{} has no images", dataset_->name());
  check(options_.batch_size >= 1, "loader", "batch size is {}, expected 1 or more", options_.batch_size);
  check(options_.threads >= 0, "loader", "{} threads asked, expected 0 or more", options_.threads);
  check(options_.prefetch >= 1, "loader", "prefetch is {} batches, expected 1 or more", options_.prefetch);
  const Image first = dataset_->image(0);
  channels_ = first.channels;
  height_ = first.height;
  width_ = first.width;
}

int64_t Loader::batches() const {
  const int64_t size = sampler_->size(), batch = options_.batch_size;
  return options_.drop_last ? size / batch : (size + batch - 1) / batch;
}

Epoch Loader::epoch(int64_t epoch, int64_t first_batch) const {
  check(epoch >= 0 && first_batch >= 0 && first_batch <= batches(), "loader",
        "epoch {} from batch {} asked: an epoch has {} batches", epoch, first_batch, batches());
  auto work = std::make_unique<Epoch::Work>();
  work->dataset = dataset_;
  work->transform = transform_;
  work->options = options_;
  work->epoch = epoch;
  work->indices = sampler_->epoch_indices(epoch);
  check(static_cast<int64_t>(work->indices.size()) == sampler_->size(), "loader",
        "the sampler gave {} indices for epoch {}, expected {}", work->indices.size(), epoch, sampler_->size());
  for (int64_t index : work->indices) check_index(*dataset_, index);
  work->channels = channels_;
  work->height = height_;
  work->width = width_;
  work->next_to_make = work->next_to_give = first_batch;
  work->end = batches();
  work->start();
  return Epoch(std::move(work));
}

}  // namespace data
