// Mixed precision: a guard under which the expensive ops take their activations in 16 bits.
//
//   const Autocast autocast(DType::bf16);
//   loss = criterion(model(images), labels);   // convolutions and products in bf16, the loss in f32
//   loss.backward();                           // in the types that were recorded
//
// Parameters, their gradients and the optimizer's state stay f32: a product takes a bf16 activation and an f32 weight,
// and gives bf16. bf16 has f32's range, so the loss needs no scaling.
#pragma once
#include "engine/core/dtype.h"

namespace engine {

// The type of activations in this thread; f32, which casts nothing, outside of all guards.
DType autocast_dtype();
inline bool autocast_enabled() { return autocast_dtype() != DType::f32; }

// Sets that type while it lives. bf16, or f32 to switch a guard around it off; throws for other types.
class Autocast {
 public:
  explicit Autocast(DType dtype);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  DType previous_;
};

}  // namespace engine
