#include "data/loader.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "data/random_stream.h"
#include "engine/core/error.h"
#include "engine/ops/image.h"

namespace data {

using engine::check;
using engine::Tensor;

// What the threads of an epoch share. Batch b waits in slots[b % slots.size()]; a thread takes the next number only
// when that slot is free, so at most `prefetch` batches exist at a time, and they come out in order.
struct Epoch::Work {
  // A batch as threads make it, in the host's memory: the images are ready, or bytes with their motions.
  struct Prepared {
    Batch batch;
    Tensor motions;  // (N, 8) i64; undefined where the images are ready
  };
  struct Slot {
    std::optional<Prepared> batch;
    std::exception_ptr error;
    bool ready() const { return batch.has_value() || error; }
  };

  std::shared_ptr<const Dataset> dataset;
  Transform transform;
  LoaderOptions options;
  Tensor table;
  int64_t epoch = 0;
  std::vector<int64_t> indices;
  int channels = 0, height = 0, width = 0;

  std::mutex mutex;
  std::condition_variable slot_freed, batch_ready;
  std::vector<Slot> slots;
  int64_t next_to_make = 0, next_to_give = 0, end = 0;  // batch numbers
  bool stop = false;
  std::vector<std::thread> threads;

  explicit Work(Transform of_images) : transform(std::move(of_images)) {}
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
        made.batch = prepare(number);
      } catch (...) {
        made.error = std::current_exception();
      }
      lock.lock();
      slots[number % slot_count] = std::move(made);
      batch_ready.notify_all();
    }
  }

  Prepared take() {
    if (threads.empty()) return prepare(next_to_give++);
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

  Image checked_image(int64_t index) const {
    Image image = dataset->image(index);
    check(image.channels == channels && image.height == height && image.width == width, "loader",
          "image {} of {} is ({}, {}, {}), the first one ({}, {}, {}): resize the images to one size", index,
          dataset->name(), image.channels, image.height, image.width, channels, height, width);
    return image;
  }

  Prepared prepare(int64_t number) const {
    const int64_t first = number * options.batch_size;
    const int64_t count = std::min<int64_t>(options.batch_size, static_cast<int64_t>(indices.size()) - first);
    Prepared made;
    made.batch.indices.assign(indices.begin() + first, indices.begin() + first + count);
    made.batch.labels = Tensor::empty({count}, {.dtype = engine::DType::i64});
    for (int64_t i = 0; i < count; ++i) made.batch.labels.data<int64_t>()[i] = dataset->label(made.batch.indices[i]);
    if (table.defined())
      fill_bytes(made, first);
    else
      fill_floats(made, first);
    return made;
  }

  engine::Generator random_of(int64_t place) const {
    return generator_for(options.seed, Use::augmentation, epoch, place);
  }

  void fill_floats(Prepared& made, int64_t first) const {
    const int64_t count = made.batch.labels.numel();
    made.batch.images = Tensor::empty({count, channels, height, width}, {.format = options.format});
    const engine::Strides strides = engine::strides_of(made.batch.images.shape(), options.format);
    float* images = made.batch.images.data<float>();
    for (int64_t i = 0; i < count; ++i) {
      const Image image = checked_image(made.batch.indices[i]);
      engine::Generator random = random_of(first + i);
      transform(image, random, {images + i * strides[0], strides[1], strides[2], strides[3]});
    }
  }

  void fill_bytes(Prepared& made, int64_t first) const {
    const int64_t count = made.batch.labels.numel();
    made.batch.images = Tensor::empty({count, channels, height, width}, {.dtype = engine::DType::u8});
    made.motions = Tensor::empty({count, engine::PixelMotion::numbers}, {.dtype = engine::DType::i64});
    uint8_t* images = made.batch.images.data<uint8_t>();
    int64_t* motions = made.motions.data<int64_t>();
    for (int64_t i = 0; i < count; ++i) {
      const Image image = checked_image(made.batch.indices[i]);
      engine::Generator random = random_of(first + i);
      std::copy_n(image.pixels, image.bytes(), images + i * image.bytes());
      pixel_motion(height, width, transform.draw(random)).write(motions + i * engine::PixelMotion::numbers);
    }
  }

  // Called by who asked for the batch. Copies to the device don't wait for its work, and its transform is given to it
  // like any other op.
  Batch on_device(Prepared made) const {
    Batch& batch = made.batch;
    if (table.defined()) {
      batch.images =
          engine::augment(batch.images.to(options.device), made.motions.to(options.device), table, options.format);
      batch.labels = batch.labels.to(options.device);
    }
    return std::move(batch);
  }
};

Epoch::Epoch(std::unique_ptr<Work> work) : work_(std::move(work)) {}
Epoch::Epoch(Epoch&&) noexcept = default;
Epoch::~Epoch() = default;

std::optional<Batch> Epoch::next() {
  if (work_->next_to_give >= work_->end) return std::nullopt;
  return work_->on_device(work_->take());
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Sampler> sampler, Transform transform,
               LoaderOptions options)
    : dataset_(std::move(dataset)), sampler_(std::move(sampler)), transform_(std::move(transform)), options_(options) {
  check(dataset_ && sampler_, "loader", "expected a dataset and a sampler");
  check(dataset_->size() > 0, "loader", "{} has no images", dataset_->name());
  check(options_.batch_size >= 1, "loader", "batch size is {}, expected 1 or more", options_.batch_size);
  check(options_.threads >= 0, "loader", "{} threads asked, expected 0 or more", options_.threads);
  check(options_.prefetch >= 1, "loader", "prefetch is {} batches, expected 1 or more", options_.prefetch);
  const Image first = dataset_->image(0);
  channels_ = first.channels;
  height_ = first.height;
  width_ = first.width;
  if (options_.device != engine::Device{}) table_ = transform_.table(channels_).to(options_.device);
}

int64_t Loader::batches() const {
  const int64_t size = sampler_->size(), batch = options_.batch_size;
  return options_.drop_last ? size / batch : (size + batch - 1) / batch;
}

Epoch Loader::epoch(int64_t epoch, int64_t first_batch) const {
  check(epoch >= 0 && first_batch >= 0 && first_batch <= batches(), "loader",
        "epoch {} from batch {} asked: an epoch has {} batches", epoch, first_batch, batches());
  auto work = std::make_unique<Epoch::Work>(transform_);
  work->dataset = dataset_;
  work->options = options_;
  work->table = table_;
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
