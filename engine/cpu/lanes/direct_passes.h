// The three directions of a convolution over sixteen-image groups, without Winograd: any kernel size, stride, padding
// and dilation, over plain pointers.
#pragma once
#include "engine/core/tensor.h"
#include "engine/cpu/lanes/direct_kernels.h"
#include "engine/kernels/pair.h"

namespace engine::cpu::lanes {

// x (groups, channels, in, 16), w (filters, channels, kernel), y (groups, filters, out, 16); groups of sixteen images.
// Lanes without an image hold zeros in x and dy and so in y and dx.
struct DirectProblem {
  int64_t images, channels, filters;
  Pair in, out, kernel, stride, padding, dilation;
  int64_t groups() const { return (images + images_per_group - 1) / images_per_group; }
};

// w in the order in which forward reads it.
Tensor arrange_for_forward(const DirectProblem& problem, const DirectKernels& kernels, const float* w);

// Results are the same for any number of threads. T is the storage of x, y and their gradients: float, or uint16_t for
// the bits of a bfloat16; sums, w and dw are f32.
template <class T>
void forward(const DirectProblem& problem, const DirectKernels& kernels, const T* x, const Tensor& arranged,
             const Epilogue<T>* epilogue, T* y);
template <class T>
void backward_input(const DirectProblem& problem, const DirectKernels& kernels, const T* dy, const float* w, bool add,
                    T* dx);
template <class T>
void backward_weight(const DirectProblem& problem, const DirectKernels& kernels, const T* dy, const T* x, float* dw);

}  // namespace engine::cpu::lanes
