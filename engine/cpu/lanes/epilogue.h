// What a convolution over sixteen-image groups may do to its outputs before it stores them.
#pragma once

namespace engine::cpu::lanes {

// y = relu?(y + bias + residual?) in the lanes of existing images; T is the storage of y.
template <class T>
struct Epilogue {
  const float* bias = nullptr;  // one per filter, or null
  const T* residual = nullptr;  // as y, or null; may be y itself
  bool relu = false;
};

}  // namespace engine::cpu::lanes
