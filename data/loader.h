// Batches for training and testing: images read and transformed by threads ahead of their use.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "data/dataset.h"
#include "data/sampler.h"
#include "data/transforms.h"
#include "engine/core/tensor.h"

namespace data {

struct Batch {
  engine::Tensor images;         // (N, C, H, W) f32, on the loader's device
  engine::Tensor labels;         // (N) i64, there too
  std::vector<int64_t> indices;  // (N) of the images in the dataset
};

struct LoaderOptions {
  int64_t batch_size = 128;
  int threads = 1;         // 0: batches are made by the thread that asks for them
  uint64_t seed = 0;       // of the augmentation
  bool drop_last = false;  // leaves out a smaller last batch
  int64_t prefetch = 4;    // batches made ahead at most
  engine::MemoryFormat format = engine::MemoryFormat::channels_last;
  // Where the batches are given out. Another device than the CPU gets bytes, a quarter of the floats, and transforms
  // the images itself: to the same bits. It must be open, and whoever asks for batches is the one who works with it.
  engine::Device device = {};
};

// The batches of one epoch, in order: `for (Batch b : loader.epoch(3))`. Can be walked once. Destroying it early stops
// its threads.
class Epoch {
 public:
  class Iterator {
   public:
    Batch& operator*() { return *batch_; }
    Iterator& operator++() {
      batch_ = epoch_->next();
      return *this;
    }
    bool operator==(std::nullptr_t) const { return !batch_.has_value(); }

   private:
    friend class Epoch;
    explicit Iterator(Epoch* epoch) : epoch_(epoch), batch_(epoch->next()) {}
    Epoch* epoch_;
    std::optional<Batch> batch_;
  };

  Epoch(Epoch&&) noexcept;
  ~Epoch();

  // The next batch, or nothing at the end. Rethrows what went wrong while making that batch.
  std::optional<Batch> next();

  Iterator begin() { return Iterator(this); }
  std::nullptr_t end() const { return nullptr; }

 private:
  friend class Loader;
  struct Work;
  explicit Epoch(std::unique_ptr<Work> work);
  std::unique_ptr<Work> work_;
};

// The random numbers of an image depend on (seed, epoch, its place in the epoch) alone. So any number of threads, and
// an epoch that starts at a later batch, give the same images; and an image that a sampler draws several times in one
// epoch is augmented differently each time.
class Loader {
 public:
  // Throws when the set is empty, an option is out of range or, for a device, images have neither 1 nor 3 channels.
  Loader(std::shared_ptr<const Dataset> dataset, std::shared_ptr<const Sampler> sampler, Transform transform,
         LoaderOptions options);

  int64_t batches() const;  // per epoch
  // The batches first_batch, first_batch + 1, ... of an epoch (which counts from 0). Throws when the sampler returns an
  // index that the set does not have. Images must all have the size of the set's first one.
  Epoch epoch(int64_t epoch, int64_t first_batch = 0) const;

  const Dataset& dataset() const { return *dataset_; }
  const LoaderOptions& options() const { return options_; }

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::shared_ptr<const Sampler> sampler_;
  Transform transform_;
  LoaderOptions options_;
  int channels_ = 0, height_ = 0, width_ = 0;  // of every image
  engine::Tensor table_;                       // the transform's, on a device other than the CPU; else undefined
};

}  // namespace data
