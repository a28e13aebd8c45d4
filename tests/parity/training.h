// A small RIDE-3 run on one device, for comparisons.
#pragma once
#include "engine/io/checkpoint.h"
#include "engine/optim/sgd.h"
#include "ride/losses/ride_loss.h"
#include "ride/models/resnet_cifar.h"

namespace engine::test {

struct TrainingOptions {
  DType precision = DType::f32;
  MemoryFormat format = MemoryFormat::channels_last;
  int64_t experts = 3;
};

// A few experts, LDAM-DRW with the diversity loss at work, SGD with Nesterov's momentum; 8 images of 8 x 8 pixels, the
// same at every step. The same weights and images on every device.
class Training {
 public:
  explicit Training(Device device, const TrainingOptions& options = {});

  double step();  // on images(7) and labels(); returns the loss before it
  double step(const Tensor& images, const Tensor& labels);
  Tensor step_without_wait(const Tensor& images, const Tensor& labels);  // the loss on the device
  void prepare_replay();                                                 // of a recorded step_without_wait()
  Tensor images(uint64_t seed) const;
  Tensor labels() const;

  ride::ResNetCifar& model() { return model_; }
  // Model and optimizer, and from there on.
  Checkpoint checkpoint() const;
  void resume(const Checkpoint& checkpoint);

 private:
  Device device_;
  TrainingOptions options_;
  Generator random_{1};
  ride::ResNetCifar model_;
  ride::RideLoss criterion_;
  std::unique_ptr<Sgd> optimizer_;
  int64_t steps_ = 0;
};

bool same_bits(const StateDict& a, const StateDict& b);

}  // namespace engine::test
